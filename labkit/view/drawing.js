// The drawing: boxes laid out by Graphviz, whose colours, borders, glyphs and lines of text change in place.

import { GLYPHS } from "./fold.js";
import { details, outcome, partsOf, progress, times } from "./meaning.js";

export const CROWD = 200; // with more nodes than this a view paints seldom, and colours change at once
const OUTLINE = "path, polygon"; // of a box: Graphviz draws square corners as a polygon
const SVG = "http://www.w3.org/2000/svg";
const FONT = '"DejaVu Sans", Verdana, sans-serif';
const ruler = typeof document === "undefined" ? null : document.createElement("canvas").getContext("2d");

/** `text` with its middle left out if it is wider than `width` pixels in letters of `size`. */
export function cutTo(text, width, size) {
  ruler.font = `${size}px ${FONT}`;
  const whole = ruler.measureText(text).width;
  if (whole <= width) return text;
  const letters = [...text];
  for (let kept = Math.max(1, Math.floor((letters.length * width) / whole)); kept > 1; kept -= 1) {
    const tail = (kept - 1) >> 1;
    const cut = `${letters.slice(0, kept - 1 - tail).join("")}…${tail ? letters.slice(-tail).join("") : ""}`;
    if (ruler.measureText(cut).width <= width) return cut;
  }
  return "…";
}

/** The states of those of these nodes that are there. */
function statesOf(nodes, fold) {
  const found = new Set();
  for (const each of nodes) if (fold.nodes[each].present) found.add(fold.nodes[each].state);
  return found;
}

/** 1234567 as "1,234,567". */
function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

function numbersIn(outline) {
  const found = (outline.getAttribute("d") ?? outline.getAttribute("points")).match(/-?[\d.]+/g).map(Number);
  const xs = found.filter((_, place) => place % 2 === 0);
  const ys = found.filter((_, place) => place % 2 === 1);
  return { x: Math.min(...xs), y: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}

export class Drawing {
  /** `chosen(node)`: a box was pressed; `opened(box)`: a stack was. */
  constructor(host, { chosen, opened }) {
    this.host = host;
    this.chosen = chosen;
    this.opened = opened;
    this.scale = 1;
    this.at = [0, 0];
    this.moved = false;
    this.room = [700, 280]; // until the view's observer tells
    this.pan();
  }

  /** A new shape: draw it. The box that had the focus keeps it. */
  lay(shape) {
    const at = this.current?.told.nodes[0];
    const focused = this.current?.group.matches(":focus");
    this.shape = shape;
    const parsed = new DOMParser().parseFromString(shape.svg, "image/svg+xml").documentElement;
    this.svg = document.importNode(parsed, true);
    this.svg.setAttribute("role", "group");
    this.size = this.svg.getAttribute("viewBox").split(" ").slice(2).map(Number);
    this.layer = document.createElementNS(SVG, "g");
    this.layer.append(...this.svg.childNodes);
    this.svg.append(this.layer);
    this.svg.removeAttribute("viewBox");
    this.parts = partsOf(shape);
    this.boxes = shape.boxes.map((told) => this.box(told));
    this.boxes[0]?.group.before(...this.boxes.map(({ group }) => group)); // they are read in their order
    this.frames = shape.frames.map((_, place) => {
      const group = this.layer.querySelector(`[data-name="frame${place + 1}"]`);
      return group && { group, title: group.querySelector("text") };
    });
    this.join();
    this.svg.classList.add("fresh");
    this.svg.classList.toggle("crowd", shape.nodes.length > CROWD);
    this.host.replaceChildren(this.svg);
    this.stand(this.boxOf(at) ?? this.boxes[0], focused);
    if (!this.moved) this.fit();
  }

  box(told) {
    const group = this.layer.querySelector(`[data-name="n${told.nodes[0] + 1}"]`);
    const place = numbersIn(group.querySelector(OUTLINE));
    for (const text of group.querySelectorAll("text, a")) text.remove();
    for (const each of group.querySelectorAll(OUTLINE)) each.removeAttribute("stroke-dasharray");
    const high = place.bottom - place.y;
    const texts = [0.36, 0.64, 0.87].map((down) => {
      const text = document.createElementNS(SVG, "text");
      text.setAttribute("x", place.x + 9);
      text.setAttribute("y", place.y + high * down);
      group.append(text);
      return text;
    });
    const glyph = document.createElementNS(SVG, "tspan");
    const call = document.createElementNS(SVG, "tspan");
    glyph.setAttribute("class", "glyph");
    texts[0].append(glyph, call);
    texts.forEach((text, line) => text.setAttribute("class", ["call", "outcome", "times"][line]));
    const title = document.createElementNS(SVG, "title");
    group.append(title);
    group.setAttribute("role", "button");
    group.setAttribute("tabindex", "-1");
    const box = { told, group, glyph, call, texts, title, width: place.right - place.x - 18, shown: "", present: true };
    group.addEventListener("click", ({ detail }) => {
      if (!detail || !this.dragged) this.press(box); // without a mouse there is no detail
    });
    group.addEventListener("keydown", (event) => this.key(event, box));
    group.addEventListener("focus", () => this.stand(box));
    return box;
  }

  /** Lines, and what they meet in between (bars, ways out of frames, connectors of rows), with the boxes at both ends. */
  join() {
    const named = new Map(this.boxes.map((box) => [`n${box.told.nodes[0] + 1}`, box]));
    const groups = [...this.layer.querySelectorAll(".edge")];
    const next = { source: new Map(), target: new Map() };
    for (const { dataset } of groups) {
      for (const [end, other] of [["source", "target"], ["target", "source"]]) {
        next[end].set(dataset[other], [...(next[end].get(dataset[other]) ?? []), dataset[end]]);
      }
    }
    // A line that is broken at the end of a row goes on from the connector with the same letter.
    const jumps = [...this.layer.querySelectorAll(".jump")].map(({ dataset, textContent }) => ({ name: dataset.name, letter: textContent.trim() }));
    const [into, out] = ["source", "target"].map((end) => jumps.filter(({ name }) => next[end].has(name)));
    for (const { name, letter } of into) {
      const on = out.filter((each) => each.letter === letter).map((each) => each.name);
      next.target.set(name, on);
      for (const each of on) next.source.set(each, [...(next.source.get(each) ?? []), name]);
    }
    const ends = (name, end, seen = new Set()) => {
      if (named.has(name)) return [named.get(name)];
      if (seen.has(name)) return [];
      seen.add(name);
      return (next[end].get(name) ?? []).flatMap((each) => ends(each, end, seen));
    };
    this.lines = groups.map((group) => ({
      group, name: "edge", ends: ["source", "target"].map((end) => ends(group.dataset[end], end)), shown: "",
      // What was decided at run time has not failed because its sender did.
      decided: group.querySelector(OUTLINE)?.getAttribute("stroke-dasharray") === "5,2",
    }));
    for (const group of this.layer.querySelectorAll(".join, .way, .jump")) {
      const [name, at] = [group.getAttribute("class"), group.dataset.name];
      this.lines.push({ group, name, ends: ["source", "target"].map((end) => ends(at, end)), shown: name });
    }
  }

  press(box) {
    if (box.told.stack) this.opened(box.told, box.group);
    else this.chosen(this.nodeOf(box), box.group);
  }

  key(event, box) {
    if (event.key === "Enter" || event.key === " ") this.press(box);
    else if (!event.shiftKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      const shown = this.boxes.filter(({ present }) => present);
      const next = shown[shown.indexOf(box) + (event.key === "ArrowDown" ? 1 : -1)] ?? box;
      this.stand(next, true);
      this.reveal(next.group);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The tab key comes to this box, and arrows go on from it. */
  stand(box, focus = false) {
    this.current?.group.setAttribute("tabindex", "-1");
    this.current = box;
    box?.group.setAttribute("tabindex", "0");
    if (focus) box?.group.focus({ preventScroll: true });
  }

  boxOf(node) {
    return this.boxes.find(({ told }) => told.nodes.includes(node));
  }

  /** Of errbacks that share a box, the one that was called. */
  nodeOf(box) {
    const { nodes } = box.told;
    return nodes.find((each) => this.fold && !["planned", "never ran"].includes(this.fold.nodes[each].state)) ?? nodes[0];
  }

  /** Show the states of `fold`; `now` is the time there. Only what is another is touched. */
  show(fold, now) {
    this.fold = fold;
    for (const box of this.boxes) {
      box.states = statesOf(box.told.nodes, fold);
      if (box.told.stack) this.showStack(box, fold);
      else this.showNode(box, fold, now);
    }
    this.frames.forEach((frame, place) => frame && this.showFrame(frame, place, fold));
    for (const line of this.lines) this.showLine(line);
    if (!this.current?.present) this.stand(this.boxes.find(({ present }) => present), this.current?.group.matches(":focus"));
    const { svg } = this;
    // Colours change slowly, but what has just been drawn has no colour to change from.
    if (svg.classList.contains("fresh")) requestAnimationFrame(() => svg.classList.remove("fresh"));
  }

  showNode(box, fold, now) {
    const index = this.nodeOf(box);
    const node = fold.nodes[index];
    const told = this.shape.nodes[index];
    const said = outcome(node, told.plan);
    const took = times(node, now);
    const shown = [node.present, node.state, node.call, said, took, node.answer].join("\n");
    if (shown === box.shown) return;
    box.shown = shown;
    this.look(box, node.state, node.present);
    box.glyph.textContent = `${GLYPHS[node.state]} #${index + 1} `;
    ruler.font = `10px ${FONT}`;
    const left = box.width - ruler.measureText(box.glyph.textContent).width - 8;
    box.call.textContent = ` ${cutTo(node.call, left, 13)}`;
    box.texts[1].textContent = cutTo(said, box.width, 11);
    box.texts[2].textContent = cutTo(took, box.width, 9);
    box.title.textContent = details(node, told, now).join("\n");
    box.group.setAttribute("aria-label", `#${index + 1} ${node.call}, ${node.state}${said && said !== node.state ? `: ${said}` : ""}`);
  }

  showStack(box, fold) {
    const { nodes, numbers, stack } = box.told;
    const counted = fold.counts(nodes);
    const said = Object.keys(GLYPHS).filter((state) => counted[state]).map((state) => `${GLYPHS[state]} ${grouped(counted[state])}`);
    const shown = said.join();
    if (shown === box.shown) return;
    box.shown = shown;
    const states = Object.keys(counted);
    this.look(box, states.length === 1 ? states[0] : "mixed", states.length > 0);
    box.glyph.textContent = `▤ ${numbers} `;
    ruler.font = `10px ${FONT}`;
    const left = box.width - ruler.measureText(box.glyph.textContent).width - 8;
    box.call.textContent = ` ${cutTo(stack, left, 13)}`;
    box.texts[1].textContent = cutTo(said.join("   "), box.width, 11);
    box.texts[2].textContent = "press to unfold";
    const words = states.map((state) => `${counted[state]} ${state}`).join(", ");
    box.title.textContent = `${stack}\n${words}`;
    box.group.setAttribute("aria-label", `stack ${numbers} ${stack}: ${words}`);
  }

  look(box, state, present) {
    box.group.setAttribute("class", `box ${state.replace(" ", "-")}${present ? "" : " absent"}${box.told.stack ? " stack" : ""}`);
    box.group.setAttribute("aria-hidden", !present);
    box.present = present;
  }

  showFrame({ group, title }, place, fold) {
    const text = progress(this.shape.frames[place].kind, this.parts[place], fold);
    if (title && title.textContent !== text) title.textContent = text;
    group.classList.toggle("absent", !fold.leaves[place].some((each) => fold.nodes[each].present));
  }

  showLine(line) {
    const states = line.ends.map((boxes) => (boxes.length === 1 ? boxes[0].states : new Set(boxes.flatMap((box) => [...box.states]))));
    const only = (set, state) => set.size === 1 && set.has(state);
    const went = (set) => set.size > 0 && !set.has("planned") && !set.has("never ran"); // sent before its source failed
    let look = line.name;
    if (line.ends.some((boxes, end) => boxes.length && !states[end].size)) look += " absent";
    else if (line.name === "edge" && states.some((set) => only(set, "never ran"))) look += " dead";
    else if (line.name === "edge" && !line.decided && only(states[0], "failed") && !went(states[1])) look += " wrong";
    if (look === line.shown) return;
    line.shown = look;
    line.group.setAttribute("class", look);
  }

  // Pan, zoom, fit.

  pan() {
    let from = null;
    this.host.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY, at: [...this.at] };
      this.dragged = false;
    });
    this.host.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const by = [event.clientX - from.x, event.clientY - from.y];
      if (Math.hypot(...by) > 4) this.dragged = true;
      if (this.dragged) this.place(this.scale, from.at.map((each, axis) => each + by[axis]));
    });
    this.host.addEventListener("pointerup", () => (from = null));
    this.host.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page still scrolls
      event.preventDefault();
      const around = this.host.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 300), [event.clientX - around.left, event.clientY - around.top]);
    }, { passive: false });
  }

  zoom(by, around = this.room.map((each) => each / 2)) {
    const scale = Math.max(0.1, Math.min(4, this.scale * by));
    this.place(scale, this.at.map((each, axis) => around[axis] - ((around[axis] - each) * scale) / this.scale));
  }

  /** By keyboard: `+`, `-` and `0` zoom and fit, shift and an arrow pans. Whether `event` was one of these. */
  moves(event) {
    const by = event.shiftKey && { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (by) this.place(this.scale, this.at.map((each, axis) => each + by[axis]));
    else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 1.3 : 1 / 1.3);
    else if (event.key === "0") this.fit();
    else return false;
    return true;
  }

  /** Pan as far as needed to see all of `group`. */
  reveal(group) {
    const [box, room] = [group, this.host].map((each) => each.getBoundingClientRect());
    const by = [["left", "right"], ["top", "bottom"]].map(([low, high]) => Math.max(0, room[low] - box[low]) - Math.max(0, box[high] - room[high]));
    if (by.some(Boolean)) this.place(this.scale, this.at.map((each, axis) => each + by[axis]));
  }

  place(scale, at) {
    this.moved = true;
    this.scale = scale;
    this.at = at;
    this.layer?.setAttribute("transform", `translate(${at[0]} ${at[1]}) scale(${scale})`);
  }

  /** The whole drawing, not enlarged. */
  fit() {
    if (!this.size) return;
    const scale = Math.min(1.15, ...this.room.map((each, axis) => each / this.size[axis]));
    this.place(scale, this.room.map((each, axis) => Math.max(0, (each - this.size[axis] * scale) / 2)));
    this.moved = false;
  }

  /** The room that the page has for the drawing is another. */
  resize({ width, height }) {
    if (!width || !height) return;
    this.room = [width, height];
    if (!this.moved) this.fit();
  }
}
