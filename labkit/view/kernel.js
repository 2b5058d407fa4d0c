// Questions to the kernel, and what it means when no answer comes.

const PATIENCE = 300; // milliseconds until the view says that the kernel is busy

/** `send(content)` brings a message to the kernel; `busy(true | false)` is told when answers stay away and come. */
export class Kernel {
  constructor(send, busy) {
    this.send = send;
    this.busy = busy;
    this.asked = new Map();
    this.number = 0;
  }

  ask(content, answered = () => {}) {
    this.number += 1;
    const { number } = this;
    this.asked.set(number, { answered, timer: setTimeout(() => this.busy(true), PATIENCE) });
    this.send({ ...content, number });
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
