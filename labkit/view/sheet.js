// A stack unfolded: every node in it as a small square, in the order of the canvas.

import { GLYPHS } from "./fold.js";
import { outcome } from "./meaning.js";

const SLICE = 150; // cells made in one frame: the page may do something else before the next

export class Sheet {
  constructor(host, chosen) {
    this.host = host;
    this.chosen = chosen;
    this.host.hidden = true;
    this.head = document.createElement("h4");
    this.close = document.createElement("button");
    this.close.type = "button";
    this.close.textContent = "✕ fold";
    this.close.addEventListener("click", () => this.fold());
    this.grid = document.createElement("div");
    this.grid.className = "grid";
    this.grid.setAttribute("role", "group");
    const line = document.createElement("header");
    line.append(this.head, this.close);
    this.host.append(line, this.grid);
    this.cells = [];
    this.grid.addEventListener("click", (event) => {
      const cell = event.target.closest("[data-node]");
      if (cell) this.chosen(Number(cell.dataset.node), cell);
    });
    this.grid.addEventListener("pointerover", ({ target }) => {
      if (target.dataset.node) target.title = this.title(Number(target.dataset.node));
    });
    this.host.addEventListener("keydown", (event) => this.key(event));
  }

  get open() {
    return !this.host.hidden;
  }

  unfold(told, from) {
    this.about(told, from);
    this.cells = [];
    this.grid.replaceChildren();
    this.host.hidden = false;
  }

  about(told, from) {
    this.told = told;
    this.from = from;
    this.head.textContent = `${told.numbers} ${told.stack}`;
    this.grid.setAttribute("aria-label", this.head.textContent);
  }

  /** The boxes are drawn anew: what is unfolded stays so, if `box`, which has its first node now, has them all. */
  keep(box) {
    if (!this.open) return;
    this.from = box?.group;
    const held = new Set(box?.told.nodes);
    if (!box?.told.stack || !this.told.nodes.every((each) => held.has(each))) {
      this.fold();
      return;
    }
    this.about(box.told, box.group);
    const focused = this.hasFocus;
    const same = this.cells.findIndex(({ node }, place) => node !== box.told.nodes[place]);
    for (const { cell } of same < 0 ? [] : this.cells.splice(same)) cell.remove();
    if (focused && !this.hasFocus) this.close.focus({ preventScroll: true });
  }

  get hasFocus() {
    return this.host.querySelector(":focus") !== null;
  }

  cell(node) {
    const cell = document.createElement("span");
    cell.dataset.node = node;
    cell.setAttribute("role", "button");
    cell.setAttribute("tabindex", this.cells.length ? "-1" : "0");
    return { node, cell, state: null, call: null };
  }

  title(index) {
    const node = this.shown.nodes[index];
    return `#${index + 1} ${node.call}\n${outcome(node) || node.state}`;
  }

  fold() {
    const focused = this.hasFocus;
    this.host.hidden = true;
    this.grid.replaceChildren();
    this.cells = [];
    if (focused) this.from?.focus({ preventScroll: true });
  }

  /** Show the states of `fold`; whether cells are left to be made the next time. */
  show(fold) {
    this.shown = fold;
    if (!this.open) return false;
    for (const each of this.cells) this.look(each);
    const made = [];
    const { nodes } = this.told;
    while (this.cells.length < nodes.length && made.length < SLICE) {
      const each = this.cell(nodes[this.cells.length]);
      this.look(each);
      this.cells.push(each);
      made.push(each.cell);
    }
    if (made.length) this.grid.append(...made);
    return this.cells.length < nodes.length;
  }

  look(each) {
    const node = this.shown.nodes[each.node];
    if (node.state === each.state && node.call === each.call) return;
    Object.assign(each, { state: node.state, call: node.call });
    each.cell.className = `cell ${node.state.replace(" ", "-")}`;
    each.cell.textContent = GLYPHS[node.state];
    each.cell.setAttribute("aria-label", `#${node.index + 1} ${node.call}, ${node.state}`);
  }

  key(event) {
    if (event.key === "Escape") this.fold();
    else {
      const place = this.cells.findIndex(({ cell }) => cell === event.target);
      const row = Math.max(1, Math.floor(this.grid.clientWidth / 22));
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row }[event.key];
      if (place >= 0 && (event.key === "Enter" || event.key === " ")) this.chosen(this.cells[place].node, event.target);
      else if (place >= 0 && by !== undefined) {
        const next = this.cells[Math.max(0, Math.min(this.cells.length - 1, place + by))];
        this.cells[place].cell.setAttribute("tabindex", "-1");
        next.cell.setAttribute("tabindex", "0");
        next.cell.focus();
      } else return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
