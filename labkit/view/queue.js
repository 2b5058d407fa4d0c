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
    this.host = host;
    this.parts = {};
    host.addEventListener("click", ({ target }) => this.choose(target));
    host.addEventListener("keydown", (event) => this.key(event));
    this.chosen = chosen;
    for (const [name, title] of [["waiting", "queue"], ["fetched", "fetched, not acknowledged"], ["running", "running"]]) {
      const part = document.createElement("section");
      const head = document.createElement("h4");
      const list = document.createElement("ul");
      head.append(title, " ", document.createElement("span"));
      list.setAttribute("role", "group");
      list.setAttribute("aria-label", title);
      part.append(head, list);
      part.className = `part ${name}-part`;
      host.append(part);
      this.parts[name] = { count: head.lastChild, list, boxes: [], shown: "" };
    }
  }

  choose(box) {
    if (box.dataset?.node) this.chosen(Number(box.dataset.node), box);
  }

  /** The tab key comes to the first of each part, arrows go on from it: upwards where the front is at the bottom. */
  key(event) {
    const part = Object.values(this.parts).find(({ list }) => list === event.target.parentNode);
    if (!part) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key] * (part === this.parts.waiting ? -1 : 1);
    if (event.key === "Enter" || event.key === " ") this.choose(event.target);
    else if (by) part.boxes[part.boxes.indexOf(event.target) + by]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  box(part) {
    const box = part.list.appendChild(document.createElement("li"));
    box.setAttribute("tabindex", part.boxes.length ? "-1" : "0");
    return box;
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
    while (part.boxes.length < wanted.length) part.boxes.push(this.box(part));
    const gone = part.boxes.splice(wanted.length);
    const focused = gone.some((box) => box.matches(":focus"));
    for (const box of gone) box.remove();
    if (focused) (part.boxes.at(-1) ?? this.host.parentNode).focus({ preventScroll: true });
    wanted.forEach(([state, index, text, call], place) => {
      const box = part.boxes[place];
      if (box.className !== state) box.className = state;
      if (box.textContent === text) return;
      box.textContent = text;
      box.title = call;
      box.dataset.node = index;
      box.setAttribute("role", index === "" ? "note" : "button");
    });
  }
}
