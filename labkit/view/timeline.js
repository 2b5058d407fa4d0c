// One lane for each slot of the workers: when tasks waited and ran, with the cursor of the player.

const LANE = 13;
const INSET = 8; // half of the scrubber's thumb: its middle stands over the cursor's line

/** The runs of all tasks, each with its lane. Lanes that `known` names are there from the beginning. */
export function runs(facts, known = []) {
  const others = new Set();
  const workers = new Map();
  const open = new Map();
  const found = [];
  for (const fact of facts.sorted) {
    if (fact.kind === "received") workers.set(fact.task, fact.worker);
    if (fact.kind === "started") {
      const name = `${workers.get(fact.task) ?? fact.worker} ${fact.slot}`.trim();
      if (!known.includes(name)) others.add(name);
      const run = { task: fact.task, nesting: fact.nesting ?? 0, lane: name, from: fact.at, until: null, end: null };
      open.set(fact.task, run);
      found.push(run);
    } else if (["succeeded", "failed", "retried", "ended", "lost", "rejected", "revoked"].includes(fact.kind)) {
      const run = open.get(fact.task);
      if (run && run.until === null) Object.assign(run, { until: fact.at, end: fact.kind });
    }
  }
  const lanes = [...known, ...[...others].sort((one, other) => one.localeCompare(other, "en", { numeric: true }))];
  for (const run of found) run.lane = lanes.indexOf(run.lane);
  return { lanes, found };
}

const LOOK = { succeeded: "succeeded", failed: "failed", retried: "retrying", ended: "rejected", lost: "lost", rejected: "rejected", revoked: "revoked" };

export class Timeline {
  constructor(host, label) {
    this.host = host;
    this.label = label;
    this.names = document.createElement("div");
    this.names.className = "names";
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    host.append(this.names, this.canvas);
    this.known = [];
    this.counted = -1;
    this.canvas.addEventListener("mousemove", (event) => {
      this.canvas.title = this.at(event.offsetX, event.offsetY);
    });
  }

  show(facts, fold, now, until) {
    if (this.counted !== facts.arrived.length || this.facts !== facts) {
      this.facts = facts;
      this.counted = facts.arrived.length;
      this.runs = runs(facts, this.known);
      const names = this.runs.lanes.map((name) => {
        const line = document.createElement("div");
        line.textContent = name;
        line.title = name;
        return line;
      });
      this.names.replaceChildren(...names);
    }
    const height = Math.max(1, this.runs.lanes.length) * LANE;
    const width = Math.max(50, this.canvas.clientWidth);
    const sharp = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * sharp) || this.canvas.height !== Math.round(height * sharp)) {
      this.canvas.width = Math.round(width * sharp);
      this.canvas.height = Math.round(height * sharp);
      this.canvas.style.height = `${height}px`;
    }
    const pen = this.canvas.getContext("2d");
    const colours = getComputedStyle(this.canvas);
    const looked = new Map();
    const colour = (name) => {
      if (!looked.has(name)) looked.set(name, colours.getPropertyValue(`--${name}`) || "gray");
      return looked.get(name);
    };
    const x = (at) => INSET + ((width - 2 * INSET) * Math.min(at, until)) / Math.max(until, 1e-6);
    this.scale = { width, until };
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colour("frame");
    for (let lane = 0; lane < this.runs.lanes.length; lane += 1) pen.fillRect(INSET, (lane + 1) * LANE - 1, width - 2 * INSET, 0.5);
    pen.font = "9px sans-serif";
    pen.textBaseline = "middle";
    for (const run of this.runs.found) {
      if (run.from > now) continue;
      const ended = run.until !== null && run.until <= now;
      const state = ended ? LOOK[run.end] : "running";
      const from = x(run.from);
      const wide = Math.max(2, x(ended ? run.until : now) - from);
      pen.fillStyle = colour(`${state}-fill`);
      pen.strokeStyle = colour(`${state}-border`);
      pen.fillRect(from, run.lane * LANE + 1.5, wide, LANE - 4);
      pen.strokeRect(from + 0.5, run.lane * LANE + 1.5, Math.max(1, wide - 1), LANE - 4);
      const said = this.label(run);
      if (wide > pen.measureText(said).width + 4) {
        pen.fillStyle = colour(`${state}-text`);
        pen.fillText(said, from + 3, run.lane * LANE + LANE / 2);
      }
    }
    pen.fillStyle = colour("ink");
    pen.fillRect(x(now) - 0.75, 0, 1.5, height);
  }

  /** What stands at a place of the lanes. */
  at(x, y) {
    if (!this.scale) return "";
    const { width, until } = this.scale;
    const at = ((x - INSET) / (width - 2 * INSET)) * until;
    const near = (3 / width) * until;
    const lane = Math.floor(y / LANE);
    const run = this.runs.found.find((each) => each.lane === lane && each.from - near <= at && at <= (each.until ?? until) + near);
    return run ? this.label(run) : "";
  }
}
