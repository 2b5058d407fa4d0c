// The facts of one workflow, in order, and to which run of its id each belongs.

import { LIVES } from "./lives.js";

/** The facts of one workflow in the order of their times, and where each stands in it. */
export class Facts {
  constructor() {
    this.arrived = [];
    this.sorted = [];
    this.of = new Map(); // task -> its facts
    this.runs = new Map(); // task -> how deep its replacements are nested, sorted
    this.heirs = new Map(); // task -> messages that tell of a step to come in its place, with its id
  }

  get length() {
    return this.sorted.length;
  }

  /** Add facts as they arrived; returns the first place in the sorted order that changed. */
  take(facts) {
    let changed = this.sorted.length;
    for (const fact of facts) {
      fact.n = this.arrived.length;
      this.arrived.push(fact);
      let place = this.sorted.length;
      while (place > 0 && this.sorted[place - 1].at > fact.at) {
        this.sorted[place] = this.sorted[place - 1];
        this.sorted[place].place = place;
        place -= 1;
      }
      this.sorted[place] = fact;
      fact.place = place;
      changed = Math.min(changed, place);
      if (fact.task === undefined) continue;
      if (!this.of.has(fact.task)) this.of.set(fact.task, []);
      const mine = this.of.get(fact.task);
      let index = mine.length;
      while (index > 0 && mine[index - 1].place > fact.place) index -= 1;
      mine.splice(index, 0, fact);
      if (this.heirs.has(fact.task)) this.deepen(fact.task);
      else this.note(fact, fact.nesting ?? 0);
      if (fact.heir) {
        this.heirs.set(fact.parent, [...(this.heirs.get(fact.parent) ?? []), fact]);
        this.deepen(fact.parent);
      }
    }
    return changed;
  }

  /** How many replacements led to the run of its id that a fact is about. */
  note(fact, depth) {
    fact.depth = depth;
    if (!(fact.kind in LIVES) && fact.kind !== "published") return;
    const depths = this.runs.get(fact.task) ?? [];
    if (!depths.includes(depth)) this.runs.set(fact.task, [...depths, depth].sort((a, b) => a - b));
  }

  /** The same as `deepened` in labkit/facts.py: what a chord's last step replaces says nothing of its depth. */
  deepen(task) {
    let [shift, top, left, before] = [0, 0, null, -1];
    this.runs.delete(task);
    for (const fact of this.of.get(task) ?? []) {
      const raw = fact.nesting ?? 0;
      let depth = raw + shift;
      if (fact.kind === "published") {
        const heir = this.heirs.get(task).some(({ place }) => before < place && place < fact.place);
        if (heir && fact.parent !== undefined && !fact.retries && depth <= top) depth = top + 1;
        shift = depth - raw;
        top = Math.max(top, depth);
        if (!fact.retries) before = fact.place;
      } else if (fact.kind === "ended" && fact.state === "IGNORED") {
        depth = Math.min(left ?? raw, top);
        left = depth + 1;
      }
      this.note(fact, depth);
    }
  }

  /** Since when it goes on, and until when, in seconds. */
  get end() {
    return this.sorted.length ? this.sorted.at(-1).at : 0;
  }
}
