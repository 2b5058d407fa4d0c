// Questions to the kernel, and what it means when no answer comes.

const PATIENCE = 300; // milliseconds until the view says that the kernel is busy
const ENDS = ["restarting", "autorestarting", "terminating", "dead"];

/** Calls `gone()` when the kernel behind a widget is; returns what ends that. */
export function whenGone(model, id, gone) {
  const look = async () => {
    const found = await model.widget_manager.get_model(id);
    if (found.comm_live === false) gone();
  };
  // ipywidgets tells of a restart only; of the rest JupyterLab tells, where it is one.
  const session = model.widget_manager?.context?.sessionContext;
  const status = (_, now) => ENDS.includes(now) && gone();
  const kernel = (_, { oldValue }) => oldValue && gone();
  model.on("comm_live_update", look);
  session?.statusChanged.connect(status);
  session?.kernelChanged.connect(kernel);
  return () => {
    model.off("comm_live_update", look);
    session?.statusChanged.disconnect(status);
    session?.kernelChanged.disconnect(kernel);
  };
}

/**
 * `send(content)` brings a message to the kernel; `busy(true | false)` is told when answers stay away and come,
 * `gone()` when nothing can be sent any more.
 */
export class Kernel {
  constructor(send, busy, gone) {
    this.send = send;
    this.busy = busy;
    this.gone = gone;
    this.asked = new Map();
    this.number = 0;
  }

  ask(content, answered = () => {}) {
    this.number += 1;
    const { number } = this;
    this.asked.set(number, { answered, timer: setTimeout(() => this.busy(true), PATIENCE) });
    try {
      this.send({ ...content, number });
    } catch {
      this.gone();
    }
  }

  heard(content) {
    const asked = this.asked.get(content.answer);
    if (!asked) return;
    clearTimeout(asked.timer);
    this.asked.delete(content.answer);
    if (!this.asked.size) this.busy(false);
    asked.answered(content);
  }

  close() {
    for (const { timer } of this.asked.values()) clearTimeout(timer);
    this.asked.clear();
  }
}
