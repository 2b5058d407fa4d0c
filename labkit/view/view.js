// The view: drawing, queue, timeline and sentence on one cursor, with buttons for the lab and for the record.

import { Drawing } from "./drawing.js";
import { Facts, Fold } from "./fold.js";
import { Kernel } from "./kernel.js";
import { details, meaning } from "./meaning.js";
import { Player } from "./player.js";
import { Queue } from "./queue.js";
import { savePicture } from "./saved.js";
import { Sheet } from "./sheet.js";
import { Timeline } from "./timeline.js";

const TICK = 200; // milliseconds between two looks at what runs
const QUIET = 600_000; // milliseconds without news after which nobody looks any more
const CALM = 1000; // milliseconds between two announcements to a screen reader
const BUSY = "The kernel is busy with a cell, so nothing new can be shown. Cells that await leave it free: use await run.";

const FAULTS = [
  ["lose", "lose its next message"], ["twice", "deliver its next message twice"], ["fail", "make its next call fail"],
  ["kill", "kill the worker that runs it"], ["stop broker", "stop the broker"], ["start broker", "start the broker again"],
  ["slow backend", "slow the backend by 0.5 s"], ["undo", "undo all faults"],
];

function element(tag, name = "", text = "", more = {}) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(more)) made.setAttribute(key, value);
  return made;
}

const ICONS = {
  pause: "M3 2h3v10H3zM8 2h3v10H8z", play: "M3 2l9 5-9 5z", next: "M2 2l7 5-7 5zM10 2h2v10h-2z",
  forward: "M5 3l5 4-5 4z", back: "M9 3L4 7l5 4z", live: "M7 3.5a3.5 3.5 0 1 0 .01 0z",
};

/** The text of a button behind its icon: fonts do not have all of these glyphs. */
function label(button, icon, text) {
  if (button.dataset.icon === icon && button.lastChild.textContent === text) return;
  button.dataset.icon = icon;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 14 14");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[icon]);
  svg.append(path);
  button.replaceChildren(svg, element("span", "", text));
}

function choice(name, title, options, changed) {
  const label = element("label", name, "", { title });
  const select = element("select", "", "", { "aria-label": title });
  for (const [value, text] of options) select.append(new Option(text, value));
  select.addEventListener("change", () => changed(select.value));
  label.append(select);
  return { label, select };
}

export class View {
  /** `send(content)` brings a message to the kernel; without it this is a record that is played. */
  constructor(host, record, send = null) {
    this.facts = new Facts();
    this.player = new Player(this.facts, () => this.moved());
    this.kernel = send && new Kernel(send, (busy) => this.busy(busy));
    this.over = true;
    this.lab = null;
    this.why = record.why ?? {};
    this.heard = performance.now();
    this.announced = { at: 0, cursor: 0, timer: null };
    this.build(host);
    this.timeline.known = record.lanes ?? [];
    this.showLab(record.lab ?? null);
    this.news({ ...record, from: 0 });
    this.kernel?.ask({ do: "all", have: this.facts.arrived.length });
    this.observers = [new ResizeObserver(() => this.resized()), new MutationObserver(() => this.draw())];
    this.observers[0].observe(this.canvas);
    this.observers[1].observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  }

  close() {
    this.closed = true;
    this.player.stop();
    this.kernel?.close();
    window.removeEventListener("keydown", this.keyed, true);
    clearTimeout(this.ticking);
    clearTimeout(this.announced.timer);
    for (const observer of this.observers) observer.disconnect();
  }

  // --- what there is to see ---------------------------------------------------------------------------------

  build(host) {
    this.root = element("div", `labkit${this.kernel ? "" : " alone"}`, "", {
      role: "group", "aria-label": "workflow, as it happens", tabindex: "0",
    });
    this.canvas = element("div", "canvas");
    this.sheetHost = element("div", "sheet");
    this.panel = element("aside", "panel", "", { "aria-label": "about a task" });
    this.panel.hidden = true;
    const stage = element("div", "stage");
    stage.append(this.canvas, this.sheetHost, this.panel, this.zoomer());
    const side = element("div", "side", "", { role: "group", "aria-label": "messages" });
    this.scrubber = element("input", "scrubber", "", { type: "range", min: "0", step: "any", "aria-label": "moment" });
    const lanes = element("div", "lanes");
    const below = element("div", "below");
    const track = element("div", "track");
    track.append(element("span", "names"), this.scrubber);
    below.append(track, lanes);
    this.sentence = element("p", "meaning");
    this.live = element("div", "unseen", "", { "aria-live": "polite", role: "status" });
    this.root.append(this.bar(), stage, side, below, this.sentence, this.live);
    host.replaceChildren(this.root);
    const chosen = (node, from) => this.ask(node, from);
    const opened = (told, from) => {
      this.sheet.unfold(told, from, this.shape);
      this.sheet.show(this.fold);
      this.sheet.cells[0].cell.focus();
    };
    this.drawing = new Drawing(this.canvas, { chosen, opened });
    this.sheet = new Sheet(this.sheetHost, chosen);
    this.queue = new Queue(side, chosen);
    this.timeline = new Timeline(lanes, (run) => this.label(run));
    this.scrubber.addEventListener("input", () => this.player.goTime(Number(this.scrubber.value)));
    this.root.addEventListener("keydown", (event) => this.key(event));
    // Before JupyterLab looks: plain keys are ours while the focus is here, shortcuts such as ctrl-S stay its own.
    this.keyed = (event) => {
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !(event.shiftKey && event.key === "Enter");
      this.root.toggleAttribute("data-lm-suppress-shortcuts", plain);
    };
    window.addEventListener("keydown", this.keyed, true);
  }

  button(name, text, title, pressed) {
    const button = element("button", name, text, { type: "button", title });
    button.addEventListener("click", pressed);
    return button;
  }

  bar() {
    const bar = element("div", "bar", "", { role: "toolbar", "aria-label": "player" });
    this.mode = this.button("mode", "recorded", "to what happens now", () => this.player.follow());
    this.back = this.button("back", "", "back by one message or fact (←)", () => this.player.step(-1));
    this.go = this.button("go", "", "play or pause (space)", () => this.toggle());
    this.next = this.button("next", "", "on by one task", () => this.step());
    this.message = this.button("message", "", "on by one message or fact (→)", () => this.forward());
    label(this.back, "back", "");
    label(this.message, "forward", "");
    label(this.next, "next", "Step");
    for (const button of [this.back, this.message]) button.setAttribute("aria-label", button.title);
    const speeds = [0.25, 0.5, 1, 2, 4, 16].map((each) => [each, `${each} ×`]);
    this.speed = choice("speed", "speed of the replay", speeds, (value) => (this.player.speed = Number(value)));
    this.speed.select.value = "1";
    const slow = [[0, "no delay"], [0.25, "slow: 0.25 s"], [0.5, "slow: 0.5 s"], [1, "slow: 1 s"], [2, "slow: 2 s"]];
    this.slow = choice("slow", "slow motion: how long each task waits before it runs", slow, (value) =>
      this.do({ do: "slow", seconds: Number(value) }),
    );
    bar.append(this.mode, this.back, this.go, this.next, this.message, this.speed.label, this.slow.label, this.faults());
    this.count = element("span", "count");
    bar.append(this.count);
    return bar;
  }

  faults() {
    this.menu = element("details", "faults");
    const panel = element("div", "menu");
    this.target = element("select", "", "", { "aria-label": "the task that a fault is for" });
    panel.append(this.target);
    for (const [fault, text] of FAULTS) {
      panel.append(this.button("fault", text, text, () => {
        this.do({ do: "fault", fault, task: this.target.value });
        this.menu.open = false;
        this.menu.firstChild.focus();
      }));
    }
    this.menu.append(element("summary", "", "⚡ Faults"), panel);
    return this.menu;
  }

  zoomer() {
    const zoomer = element("div", "zoom", "", { role: "group", "aria-label": "zoom" });
    zoomer.append(
      this.button("", "−", "smaller", () => this.drawing.zoom(1 / 1.3)),
      this.button("", "+", "larger (ctrl and wheel)", () => this.drawing.zoom(1.3)),
      this.button("", "fit", "the whole drawing", () => this.drawing.fit()),
    );
    return zoomer;
  }

  // --- what the kernel tells --------------------------------------------------------------------------------

  news(news) {
    const had = this.facts.arrived.length;
    if (news.from > had) {
      this.kernel?.ask({ do: "all", have: had });
      return;
    }
    const fresh = (news.facts ?? []).slice(had - (news.from ?? had));
    const changed = fresh.length ? this.facts.take(fresh) : Infinity;
    if (news.over !== undefined) this.over = news.over;
    if (fresh.length) this.heard = performance.now();
    this.player.grown();
    if (news.shape) {
      this.shape = news.shape;
      this.fold = new Fold(this.shape, this.facts);
      this.sheet.fold();
      this.drawing.lay(this.shape);
      this.fold.seek(this.player.cursor);
    } else {
      this.fold.seek(this.player.cursor, changed);
    }
    this.draw();
    this.tick();
  }

  /** A message from the kernel. */
  take(content) {
    if (content.lab !== undefined) this.showLab(content.lab);
    if (content.news) this.news(content.news);
    if (content.why) this.explain(content);
    if (content.answer !== undefined) this.kernel.heard(content);
    const said = content.refused ?? content.said;
    if (said && !content.why) this.say(said);
  }

  showLab(lab) {
    this.lab = lab;
    if (lab && this.target.dataset.tasks !== lab.tasks.join()) {
      this.target.replaceChildren(...lab.tasks.map((task) => new Option(task, task)));
      this.target.dataset.tasks = lab.tasks.join();
    }
    if (lab) this.slow.select.value = String(lab.slow);
    this.draw();
  }

  busy(busy) {
    this.root.classList.toggle("busy", busy);
    this.waiting = busy;
    if (busy) this.announce(BUSY, true);
    this.draw();
  }

  say(text) {
    this.said = { text, cursor: this.player.cursor };
    this.announce(text, true);
    this.draw();
  }

  // --- buttons and keys -------------------------------------------------------------------------------------

  /** Whether the view follows a run that goes on: then the buttons are the lab's. */
  get isLive() {
    return !this.over && this.player.following && this.kernel !== null;
  }

  do(content) {
    this.said = null;
    this.kernel?.ask(content);
  }

  toggle() {
    if (this.isLive) this.do({ do: this.lab?.paused ? "resume" : "pause" });
    else if (this.player.playing) {
      this.player.stop();
      this.draw();
    } else this.player.play();
  }

  step() {
    if (this.isLive) this.do({ do: "step" });
    else this.player.stepTask();
  }

  forward() {
    if (this.isLive) this.step();
    else if (!this.over && this.player.cursor >= this.facts.length) this.player.follow();
    else this.player.step(1);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inMenu = event.target.closest("select, details[open]");
    const does = {
      ArrowRight: () => this.forward(), ArrowLeft: () => this.player.step(-1),
      Home: () => { this.player.stop(); this.player.go(0); }, End: () => this.player.follow(),
    }[event.key];
    if (event.key === "Escape" && (!this.panel.hidden || this.menu.open)) {
      if (this.menu.open) this.menu.open = false;
      else this.closePanel();
    } else if (event.key === " " && event.target.closest("button, summary, select, [role=button]") === null) this.toggle();
    else if (does && !inMenu) does();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // --- about one node ---------------------------------------------------------------------------------------

  ask(node, from) {
    this.asked = { node, from };
    this.panel.hidden = false;
    this.showPanel(this.why[node] ?? (this.kernel ? [["Asking …", ""]] : []));
    if (this.kernel) this.do({ do: "why", name: `#${node + 1}` });
  }

  explain({ why, sentences, refused }) {
    if (this.asked && why === `#${this.asked.node + 1}`) this.showPanel(refused ? [[refused, ""]] : sentences);
  }

  showPanel(sentences) {
    const { node } = this.asked;
    const [title, ...lines] = details(this.fold.nodes[node], this.shape.nodes[node], this.now());
    const head = element("h4", "", title);
    const close = this.button("close", "✕", "close (Esc)", () => this.closePanel());
    const said = element("ul", "why", "", { "aria-label": "why" });
    for (const [text, evidence] of sentences) {
      const item = element("li", "", text);
      if (evidence) item.append(element("small", "", ` ${evidence}`));
      said.append(item);
    }
    const facts = element("div", "details");
    facts.append(...lines.map((line) => element("div", "", line)));
    this.panel.replaceChildren(close, head, said, facts);
    close.focus({ preventScroll: true });
    this.announce(sentences.map(([text]) => text).join(" "), true);
  }

  closePanel() {
    this.panel.hidden = true;
    (this.asked?.from ?? this.root).focus?.({ preventScroll: true });
    this.asked = null;
  }

  // --- showing ----------------------------------------------------------------------------------------------

  /** The cursor has moved. */
  moved() {
    this.said = null;
    this.fold.seek(this.player.cursor);
    this.draw();
    this.tick();
  }

  /** The moment that is shown, in seconds. */
  now() {
    if (this.over || !this.player.following) return this.player.now;
    return this.facts.end + (this.goesOn() ? (performance.now() - this.heard) / 1000 : 0);
  }

  goesOn() {
    return this.fold.nodes.some((node) => ["sent", "received", "running", "retrying"].includes(node.state));
  }

  /** Look again soon, as long as something runs. */
  tick() {
    if (this.ticking || this.closed || this.over || !this.player.following || !this.goesOn()) return;
    if (performance.now() - this.heard > QUIET) return;
    this.ticking = setTimeout(() => {
      this.ticking = null;
      this.draw();
      this.tick();
    }, TICK);
  }

  draw() {
    if (this.frame || this.closed || !this.fold) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (!this.closed) this.paint();
    });
  }

  paint() {
    const { player, facts, fold } = this;
    const now = this.now();
    const until = Math.max(facts.end, now);
    this.drawing.show(fold, now);
    this.sheet.show(fold);
    this.queue.show(fold);
    this.timeline.show(facts, fold, now, until);
    this.scrubber.max = until;
    this.scrubber.value = now;
    const sentence = meaning(player.last, fold, this.before());
    const said = this.said?.cursor === player.cursor ? this.said.text : this.said && this.isLive ? this.said.text : null;
    this.sentence.textContent = this.waiting ? BUSY : said ?? sentence;
    this.scrubber.setAttribute("aria-valuetext", `${player.cursor} of ${facts.length}: ${sentence}`);
    this.announce(sentence);
    this.paintBar();
    this.root.dataset.cursor = player.cursor;
    this.root.dataset.facts = facts.length;
    this.root.dataset.over = this.over;
  }

  paintBar() {
    const { player, lab } = this;
    const live = this.isLive;
    const paused = live ? lab?.paused : !player.playing;
    label(this.mode, "live", live ? (paused ? "live, paused" : "live") : this.over ? "recorded" : "back to live");
    this.mode.classList.toggle("on", live);
    this.mode.disabled = live || this.over;
    label(this.go, paused ? "play" : "pause", paused ? (live ? "Resume" : "Play") : "Pause");
    this.next.disabled = live && !paused;
    this.message.disabled = live;
    this.back.disabled = player.cursor === 0;
    this.speed.label.hidden = live;
    this.slow.label.hidden = !live;
    this.menu.hidden = !this.kernel || !lab?.running;
    this.count.textContent = `${player.cursor} of ${this.facts.length}`;
  }

  /** The states right before the last fact, where it matters. */
  before() {
    const last = this.player.last;
    if (!last || !["failed", "ended", "revoked", "unregistered", "rejected", "lost"].includes(last.kind)) return null;
    if (this.fold.nodes.length > 2000) return null;
    this.fold.seek(this.player.cursor - 1);
    const states = this.fold.nodes.map((node) => node.state);
    this.fold.seek(this.player.cursor);
    return states;
  }

  label(run) {
    const numbers = this.fold.byTask.get(run.task) ?? [];
    const depths = this.facts.runs.get(run.task) ?? [0];
    const index = numbers[Math.min(Math.max(0, depths.indexOf(run.nesting)), numbers.length - 1)];
    return index === undefined ? "" : `#${index + 1}`;
  }

  /** Tell a screen reader, not more often than one can listen. */
  announce(text, now = false) {
    if (now) {
      this.live.textContent = text;
      return;
    }
    if (this.announced.cursor === this.player.cursor || this.announced.timer) return;
    const wait = Math.max(0, this.announced.at + CALM - performance.now());
    this.announced.timer = setTimeout(() => {
      const missed = Math.abs(this.player.cursor - this.announced.cursor) - 1;
      Object.assign(this.announced, { at: performance.now(), cursor: this.player.cursor, timer: null });
      const more = missed > 0 ? ` (and ${missed} more)` : "";
      this.live.textContent = `${meaning(this.player.last, this.fold)}${more}`;
    }, wait);
  }

  resized() {
    if (!this.drawing.moved) this.drawing.fit();
    this.draw();
  }
}

/** What anywidget calls for each place in which the widget is shown. */
export function render({ model, el }) {
  const view = new View(el, model.get("record"), (content) => model.send(content));
  const { id } = model.get("record");
  const keep = (news) => news?.picture && savePicture(model.widget_manager, id, news.picture);
  const heard = (content) => {
    keep(content.news);
    view.take(content);
  };
  keep(model.get("record"));
  model.on("msg:custom", heard);
  return () => {
    model.off("msg:custom", heard);
    view.close();
  };
}

/** What a page without a kernel calls. */
export function replay(host, record) {
  return new View(host, record);
}
