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
    else if (node.state === "retrying") (node.fetched ? fetched : waiting).push(node);
    else if (node.state === "received") fetched.push(node);
    else if (node.state === "running") running.push(node);
  }
  const first = (one, other) => (one.order ?? 0) - (other.order ?? 0);
  return { waiting: waiting.sort(first), fetched: fetched.sort(first), running: running.sort(first) };
}

/** The column at the right: the queue with its front at the bottom, and the worker's shelf below it. */
export class Queue {
  constructor(host, chosen) {
    this.parts = {};
    host.addEventListener("click", ({ target }) => {
      if (target.dataset?.node) chosen(Number(target.dataset.node));
    });
    for (const [name, title] of [["waiting", "queue"], ["fetched", "fetched, not acknowledged"], ["running", "running"]]) {
      const part = document.createElement("section");
      const head = document.createElement("h4");
      const list = document.createElement("ul");
      head.append(title, " ", document.createElement("span"));
      list.setAttribute("aria-label", title);
      part.append(head, list);
      part.className = `part ${name}-part`;
      host.append(part);
      this.parts[name] = { count: head.lastChild, list, boxes: [], shown: "" };
    }
  }

  show(fold) {
    for (const [name, nodes] of Object.entries(places(fold))) this.fill(this.parts[name], nodes);
  }

  /** Only what is another is touched: of a thousand that wait, the front moves on many times a second. */
  fill(part, nodes) {
    const wanted = nodes.slice(0, MOST).map((node) => [node.state.replace(" ", "-"), node.index, `${GLYPHS[node.state]} #${node.index + 1}`, node.call]);
    if (nodes.length > MOST) wanted.push(["more", "", `+ ${nodes.length - MOST}`, ""]);
    const shown = wanted.join("\n");
    if (shown === part.shown) return;
    part.shown = shown;
    part.count.textContent = nodes.length ? nodes.length : "";
    while (part.boxes.length < wanted.length) part.boxes.push(part.list.appendChild(document.createElement("li")));
    for (const box of part.boxes.splice(wanted.length)) box.remove();
    wanted.forEach(([state, index, text, call], place) => {
      const box = part.boxes[place];
      if (box.className !== state) box.className = state;
      if (box.textContent === text) return;
      box.textContent = text;
      box.title = call;
      box.dataset.node = index;
    });
  }
}
