// What lies in the broker and at the workers, derived from the facts up to the cursor.

import { GLYPHS } from "./fold.js";

const MOST = 24; // boxes in one column

/** Where each task is: in the queue, fetched and not acknowledged, or running. In the order of the queue. */
export function places(fold) {
  const waiting = [];
  const fetched = [];
  const running = [];
  for (const node of fold.nodes) {
    if (!node.present) continue;
    if (node.state === "sent" && node.order !== null) waiting.push(node);
    else if (node.state === "retrying") waiting.push(node);
    else if (node.state === "received") fetched.push(node);
    else if (node.state === "running") running.push(node);
  }
  const first = (one, other) => (one.order ?? 0) - (other.order ?? 0);
  return { waiting: waiting.sort(first), fetched: fetched.sort(first), running: running.sort(first) };
}

/** The column at the right: the queue with its front at the bottom, and the worker's shelf below it. */
export class Queue {
  constructor(host, chosen) {
    this.host = host;
    this.chosen = chosen;
    this.shown = "";
    this.parts = {};
    for (const [name, title] of [["waiting", "queue"], ["fetched", "fetched, not acknowledged"], ["running", "running"]]) {
      const part = document.createElement("section");
      const head = document.createElement("h4");
      const list = document.createElement("ul");
      head.append(title, " ", document.createElement("span"));
      list.setAttribute("aria-label", title);
      part.append(head, list);
      part.className = `part ${name}-part`;
      host.append(part);
      this.parts[name] = { count: head.lastChild, list };
    }
  }

  show(fold) {
    const lying = places(fold);
    const shown = Object.values(lying).map((nodes) => nodes.map((node) => node.index + node.state).join()).join("|");
    if (shown === this.shown) return;
    this.shown = shown;
    for (const [name, nodes] of Object.entries(lying)) {
      const { count, list } = this.parts[name];
      count.textContent = nodes.length ? nodes.length : "";
      const boxes = nodes.slice(0, MOST).map((node) => this.box(node));
      if (nodes.length > MOST) {
        const more = document.createElement("li");
        more.className = "more";
        more.textContent = `+ ${nodes.length - MOST}`;
        boxes.push(more);
      }
      list.replaceChildren(...boxes);
    }
  }

  box(node) {
    const box = document.createElement("li");
    box.className = node.state.replace(" ", "-");
    box.textContent = `${GLYPHS[node.state]} #${node.index + 1}`;
    box.title = node.call;
    box.addEventListener("click", () => this.chosen(node.index));
    return box;
  }
}
