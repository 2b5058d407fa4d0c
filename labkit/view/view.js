// The view: drawing, queue, timeline and sentence on one cursor, with buttons for the lab and for the record.

import { Bar, element, zoomer } from "./bar.js";
import { CROWD, Drawing } from "./drawing.js";
import { Facts } from "./facts.js";
import { Fold } from "./fold.js";
import { Kernel } from "./kernel.js";
import { details, meaning } from "./meaning.js";
import { observe } from "./observe.js";
import { Pace } from "./pace.js";
import { Panel } from "./panel.js";
import { Player } from "./player.js";
import { Queue } from "./queue.js";
import { Sheet } from "./sheet.js";
import { Notice, Speech } from "./speech.js";
import { Timeline } from "./timeline.js";

const TICK = 200; // milliseconds between two looks at what runs
const QUIET = 600_000; // milliseconds without news after which nobody looks any more
const SELDOM = 150; // milliseconds at least between two frames of a crowd that goes on …
const UNSEEN = 1000; // … and between two of a view that is scrolled out of sight
const FOLDING = 6; // milliseconds of folding in one frame: the page may do something else before the next
const GONE = "The kernel is gone, so nothing more will come: this is what it told until then.";
const STOPPED = "The lab has stopped, so this run will not go on.";
const BUSY = "The kernel is busy with a cell, so nothing new can be shown. Cells that await leave it free: use await run.";

export class View {
  /** `send(content)` brings a message to the kernel; without it this is a record that is played. */
  constructor(host, record, send = null) {
    this.facts = new Facts();
    this.player = new Player(this.facts, () => this.moved());
    this.kernel = send && new Kernel(send, (busy) => this.busy(busy), () => this.gone());
    this.done = true;
    this.ended = null;
    this.lab = null;
    this.why = record.why ?? {};
    this.heard = performance.now();
    this.changed = Infinity;
    this.pace = new Pace(() => this.paint());
    this.notice = new Notice(() => this.draw());
    this.closing = new AbortController();
    this.build(host);
    this.timeline.know(record.lanes ?? []);
    this.news({ ...record, from: 0 });
    this.showLab(record.lab ?? null);
    this.kernel?.ask({ do: "all", have: this.facts.arrived.length, version: this.version });
    observe(this);
  }

  close() {
    this.closed = true;
    this.pace.close();
    this.player.stop();
    this.kernel?.close();
    this.closing.abort();
    this.notice.drop();
    clearTimeout(this.ticking);
    this.speech.close();
  }

  // --- what there is to see ---------------------------------------------------------------------------------

  build(host) {
    this.root = element("div", `labkit${this.kernel ? "" : " alone"}`, "", {
      role: "group", "aria-label": "workflow, as it happens", tabindex: "0",
    });
    this.bar = new Bar({
      live: () => this.player.follow(), back: () => this.player.step(-1), go: () => this.toggle(),
      step: () => this.step(), forward: () => this.forward(), speed: (times) => (this.player.speed = times),
      slow: (seconds) => this.do({ do: "slow", seconds }), fault: (fault, task, times) => this.do({ do: "fault", fault, task, times }),
    });
    this.canvas = element("div", "canvas");
    this.sheetHost = element("div", "sheet");
    const about = element("aside", "panel", "", { "aria-label": "about a task" });
    const stage = element("div", "stage");
    stage.append(this.canvas, this.sheetHost, about);
    const side = element("div", "side", "", { role: "group", "aria-label": "messages" });
    this.scrubber = element("input", "scrubber", "", { type: "range", min: "0", step: "any", "aria-label": "moment" });
    const lanes = element("div", "lanes");
    const below = element("div", "below");
    const track = element("div", "track");
    track.append(element("span", "names"), this.scrubber);
    below.append(track, lanes);
    this.sentence = element("p", "meaning");
    this.speech = new Speech(element("div", "unseen", "", { "aria-live": "polite", role: "status" }));
    this.root.append(this.bar.root, stage, side, below, this.sentence, this.speech.region);
    host.replaceChildren(this.root);
    this.panel = new Panel(about, () => this.forget());
    const chosen = (node, from) => this.ask(node, from);
    const opened = (told, from) => {
      this.sheet.unfold(told, from);
      if (this.sheet.show(this.fold)) this.draw();
      this.sheet.cells[0].cell.focus({ preventScroll: true });
    };
    this.drawing = new Drawing(this.canvas, { chosen, opened });
    stage.append(zoomer(this.drawing));
    this.sheet = new Sheet(this.sheetHost, chosen);
    this.queue = new Queue(side, chosen);
    this.timeline = new Timeline(lanes, (run) => this.label(run));
    this.scrubber.addEventListener("input", () => this.player.goTime(Number(this.scrubber.value)));
    this.root.addEventListener("keydown", (event) => this.key(event));
    // Before JupyterLab looks: plain keys are ours while the focus is here, shortcuts such as ctrl-S stay its own.
    const keyed = (event) => {
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !(event.shiftKey && event.key === "Enter");
      this.root.toggleAttribute("data-lm-suppress-shortcuts", plain);
    };
    window.addEventListener("keydown", keyed, { capture: true, signal: this.closing.signal });
  }

  // --- what the kernel tells --------------------------------------------------------------------------------

  news(news) {
    const had = this.facts.arrived.length;
    if (news.from > had) {
      this.kernel?.ask({ do: "all", have: had, version: this.version });
      return;
    }
    const fresh = (news.facts ?? []).slice(had - (news.from ?? had));
    if (news.over !== undefined) this.done = news.over;
    if (news.age !== undefined) this.heard = performance.now() - 1000 * news.age;
    if (fresh.length) this.changed = Math.min(this.changed, this.facts.take(fresh));
    this.player.grown();
    if (news.shape) {
      this.shape = news.shape;
      this.version = news.version;
      this.fold = new Fold(this.shape, this.facts);
      this.drawing.lay(this.shape);
      this.sheet.keep(this.drawing.boxOf(this.sheet.told?.nodes[0]));
    }
    this.draw();
  }

  /** Fold what has come and where the cursor has gone, for so many milliseconds; whether that was enough. */
  catchUp(time = Infinity) {
    const all = this.fold.seekFor(time, this.player.cursor, this.changed);
    this.timeline.follow(this.facts, this.changed);
    this.changed = Infinity;
    return all;
  }

  /** A message from the kernel. */
  take(content) {
    if (content.lab !== undefined) this.showLab(content.lab);
    if (content.news) this.news(content.news);
    if (content.why) this.explain(content);
    if (content.answer !== undefined) this.kernel?.heard(content);
    const said = content.refused ?? content.said;
    if (said && !content.why) this.say(said);
  }

  showLab(lab) {
    this.lab = lab;
    this.bar.lab(lab);
    if (lab?.running === false) this.end(STOPPED);
    this.draw();
  }

  gone() {
    this.kernel?.close();
    this.kernel = null;
    this.busy(false);
    this.end(GONE);
  }

  /** Nothing more will come, for this reason: what has come is the record. */
  end(why) {
    if (!this.over) this.speech.say(why);
    this.ended = why;
    this.draw();
  }

  get over() {
    return this.done || this.ended !== null;
  }

  busy(busy) {
    this.root.classList.toggle("busy", busy);
    this.waiting = busy;
    if (busy) this.speech.say(BUSY);
    this.draw();
  }

  say(text) {
    this.notice.say(text, this.player.cursor);
    this.speech.say(text);
    this.draw();
  }

  // --- buttons and keys -------------------------------------------------------------------------------------

  /** Whether the view follows a run that goes on: then the buttons are the lab's. */
  get isLive() {
    return !this.over && this.player.following && this.kernel !== null;
  }

  do(content) {
    this.notice.drop();
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
    if (this.isLive) this.do({ do: "step", message: true });
    else if (!this.over && this.player.cursor >= this.facts.length) this.player.follow();
    else this.player.step(1);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inMenu = event.target !== this.scrubber && event.target.closest("select, input, .menu");
    const does = {
      ArrowRight: () => this.forward(), ArrowLeft: () => this.player.step(-1), s: () => this.step(),
      Home: () => { this.player.stop(); this.player.go(0); }, End: () => this.player.follow(),
    }[event.key];
    if (event.key === "Escape" && (this.panel.open || this.bar.menu.open)) {
      if (this.bar.menu.open) this.bar.shut();
      else this.panel.close();
    } else if (event.key === " " && event.target.closest("button, summary, select, input[type=number], [role=button]") === null) this.toggle();
    else if (inMenu || (!this.drawing.moves(event) && !does)) return;
    else if (does && !event.shiftKey) does();
    event.preventDefault();
    event.stopPropagation();
  }

  // --- about one node ---------------------------------------------------------------------------------------

  ask(node, from) {
    this.asked = { node, from };
    this.explained(this.why[node] ?? (this.kernel ? [["Asking …", ""]] : []));
    if (this.kernel) this.do({ do: "why", name: `#${node + 1}` });
  }

  explained(sentences) {
    this.catchUp();
    this.panel.show(this.details(this.now()), sentences);
    this.speech.say(sentences.map(([text]) => text).join(" "));
  }

  details(now) {
    const { node } = this.asked;
    return details(this.fold.nodes[node], this.shape.nodes[node], now);
  }

  explain({ why, sentences, refused }) {
    if (this.asked && why === `#${this.asked.node + 1}`) this.explained(refused ? [[refused, ""]] : sentences);
  }

  forget() {
    const { node, from } = this.asked ?? {};
    const to = from?.isConnected ? from : this.drawing.boxOf(node)?.group; // it may have been drawn anew
    (to ?? this.root).focus({ preventScroll: true });
    this.asked = null;
  }

  // --- showing ----------------------------------------------------------------------------------------------

  /** The cursor has moved. */
  moved() {
    this.notice.drop();
    this.draw();
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
    }, TICK);
  }

  draw() {
    if (this.closed || !this.fold) return;
    this.pace.ask(this.unseen ? UNSEEN : this.isLive && this.fold.nodes.length > CROWD ? SELDOM : 0);
  }

  paint() {
    const { player, facts, fold } = this;
    if (!this.catchUp(FOLDING)) return true;
    const now = this.now();
    const until = Math.max(facts.end, now);
    this.drawing.show(fold, now);
    const unfolding = this.sheet.show(fold);
    this.queue.show(fold);
    if (this.panel.open) this.panel.tell(this.details(now));
    this.timeline.show(now, until);
    this.scrubber.max = until;
    this.scrubber.value = now;
    const unfinished = !this.done && player.following && this.ended;
    const sentence = unfinished || meaning(player.last, fold, this.before());
    this.sentence.textContent = this.waiting ? BUSY : this.notice.at(player.cursor, this.isLive) ?? sentence;
    this.scrubber.setAttribute("aria-valuetext", `${player.cursor} of ${facts.length}: ${sentence}`);
    this.speech.follow(player.cursor, () => meaning(player.last, this.fold));
    this.bar.paint({
      live: this.isLive, paused: this.isLive ? this.lab?.paused : !player.playing, over: this.over,
      cursor: player.cursor, count: facts.length, faults: this.kernel && this.lab?.running,
    });
    this.root.dataset.cursor = player.cursor;
    this.root.dataset.facts = facts.length;
    this.root.dataset.over = this.over;
    this.tick();
    if (unfolding) this.draw();
    return false;
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
    const index = numbers[Math.min(Math.max(0, depths.indexOf(run.depth)), numbers.length - 1)];
    return index === undefined ? "" : `#${index + 1}`;
  }
}
