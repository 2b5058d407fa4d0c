// One lane for each slot of the workers: when tasks waited and ran, with the cursor of the player.

const LANE = 13;
const INSET = 8; // half of the scrubber's thumb: its middle stands over the cursor's line
const HIGH = LANE - 3; // of a bar
const NARROW = 4; // pixels of which a border would leave little
const NAMED = 16; // pixels that a run must be wide to have its number on it
const LOOK = { succeeded: "succeeded", failed: "failed", retried: "retrying", ended: "rejected", lost: "lost", rejected: "rejected", revoked: "revoked", stranded: "lost" };

/** The runs of all tasks, each with its lane. Lanes that `known` names are there from the beginning. */
export class Runs {
  constructor(known = []) {
    this.known = known;
    this.clear();
  }

  clear() {
    this.found = [];
    this.lanes = [...this.known];
    this.seen = 0;
    this.workers = new Map();
    this.open = new Map(); // task and depth -> its runs that go on, the oldest first
  }

  /** Look at the facts that were not seen yet; from place `changed` on they are others than before. */
  follow(facts, changed) {
    if (changed < this.seen) this.clear();
    const had = this.lanes.length;
    for (; this.seen < facts.length; this.seen += 1) this.take(facts.sorted[this.seen]);
    if (this.lanes.length > had) this.sort();
  }

  take(fact) {
    const open = `${fact.task} ${fact.depth}`;
    if (fact.kind === "received") this.workers.set(fact.task, fact.worker);
    else if (fact.kind === "started") {
      const name = `${this.workers.get(fact.task) ?? fact.worker} ${fact.slot}`.trim();
      if (!this.lanes.includes(name)) this.lanes.push(name);
      const run = { task: fact.task, depth: fact.depth, name, lane: this.lanes.indexOf(name), from: fact.at, until: null, end: null };
      this.open.set(open, [...(this.open.get(open) ?? []), run]);
      this.found.push(run);
    } else if (fact.kind in LOOK) {
      const run = this.open.get(open)?.shift();
      if (run) Object.assign(run, { until: fact.at, end: fact.kind });
    }
  }

  sort() {
    const others = this.lanes.slice(this.known.length);
    others.sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
    this.lanes = [...this.known, ...others];
    for (const run of this.found) run.lane = this.lanes.indexOf(run.name);
  }
}

export class Timeline {
  constructor(host, label) {
    this.host = host;
    this.label = label;
    this.names = document.createElement("div");
    this.names.className = "names";
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    host.append(this.names, this.canvas);
    this.runs = new Runs();
    this.named = 0;
    this.width = 0; // as the view's observer tells: to ask for it would lay out the whole page
    this.canvas.addEventListener("mousemove", (event) => {
      this.canvas.title = this.at(event.offsetX, event.offsetY);
    });
  }

  /** Lanes that are there from the beginning. */
  know(lanes) {
    this.runs = new Runs(lanes);
  }

  /** The facts have grown, or are others from place `changed` on. */
  follow(facts, changed) {
    this.runs.follow(facts, changed);
    const { lanes } = this.runs;
    if (this.named === lanes.length) return;
    this.named = lanes.length;
    const names = lanes.map((name) => {
      const line = document.createElement("div");
      line.textContent = name;
      line.title = name;
      return line;
    });
    this.names.replaceChildren(...names);
  }

  /** Colours are looked up once for each theme. */
  themed() {
    const theme = `${document.body.dataset.jpThemeLight} ${matchMedia("(prefers-color-scheme: dark)").matches}`;
    if (this.theme === theme) return;
    this.theme = theme;
    this.colours = new Map();
    this.looks = {};
  }

  colour(name) {
    if (!this.colours.has(name)) {
      this.colours.set(name, getComputedStyle(this.canvas).getPropertyValue(`--${name}`) || "gray");
    }
    return this.colours.get(name);
  }

  /** The colours of a run in this state: of its middle, its border and its number. */
  look(state) {
    return (this.looks[state] ??= ["fill", "border", "text"].map((part) => this.colour(`${state}-${part}`)));
  }

  sized() {
    const height = Math.max(1, this.runs.lanes.length) * LANE;
    const sharp = window.devicePixelRatio || 1;
    const size = [this.width * sharp, height * sharp].map(Math.round);
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) {
      [this.canvas.width, this.canvas.height] = size;
      this.canvas.style.height = `${height}px`;
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, this.width, height);
    return { pen, height };
  }

  show(now, until) {
    if (!this.width) return;
    this.themed();
    const { pen, height } = this.sized();
    const { width } = this;
    const x = (at) => INSET + ((width - 2 * INSET) * Math.min(at, until)) / Math.max(until, 1e-6);
    this.until = until;
    pen.fillStyle = this.colour("frame");
    for (let lane = 0; lane < this.runs.lanes.length; lane += 1) pen.fillRect(INSET, (lane + 1) * LANE - 1, width - 2 * INSET, 0.5);
    pen.font = "9px sans-serif";
    pen.textBaseline = "middle";
    const bands = this.runs.lanes.map(() => null); // in each lane: bars without a gap, too narrow for borders
    const rare = []; // drawn last, so that what succeeded beside it does not hide it
    const draw = (band, lane) => {
      pen.fillStyle = band.colour;
      pen.fillRect(band.from, lane * LANE + 1, band.until - band.from, HIGH);
    };
    const usual = this.look("succeeded")[1];
    const end = (band, lane) => {
      if (band?.colour === usual) draw(band, lane);
      else if (band) rare.push([band, lane]);
    };
    for (const run of this.runs.found) {
      if (run.from > now) break;
      const ended = run.until !== null && run.until <= now;
      const look = this.look(ended ? LOOK[run.end] : "running");
      // Whole pixels: they are sharp, and what a thousand of them take is half of what fractions do.
      const from = Math.round(x(run.from));
      const until = Math.max(from + 2, Math.round(x(ended ? run.until : now)));
      const { lane } = run;
      const band = bands[lane];
      if (until - from < NARROW) {
        if (band?.colour === look[1] && from <= band.until) {
          band.until = Math.max(band.until, until);
          continue;
        }
        end(band, lane);
        bands[lane] = { from, until, colour: look[1] };
        continue;
      }
      end(band, lane);
      bands[lane] = null;
      draw({ from, until, colour: look[1] }, lane);
      pen.fillStyle = look[0];
      pen.fillRect(from + 1, lane * LANE + 2, until - from - 2, HIGH - 2);
      const said = until - from > NAMED ? this.label(run) : "";
      if (!said || until - from < pen.measureText(said).width + 4) continue;
      pen.fillStyle = look[2];
      pen.fillText(said, from + 3, lane * LANE + LANE / 2);
    }
    bands.forEach(end);
    for (const [band, lane] of rare) draw(band, lane);
    pen.fillStyle = this.colour("ink");
    pen.fillRect(x(now) - 0.75, 0, 1.5, height);
  }

  /** What stands at a place of the lanes. */
  at(x, y) {
    if (!this.until) return "";
    const at = ((x - INSET) / (this.width - 2 * INSET)) * this.until;
    const near = (3 / this.width) * this.until;
    const lane = Math.floor(y / LANE);
    const run = this.runs.found.find((each) => each.lane === lane && each.from - near <= at && at <= (each.until ?? this.until) + near);
    return run ? this.label(run) : "";
  }
}
