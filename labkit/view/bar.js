// The buttons: for the lab while a run goes on, for the record at any time, and those that zoom the drawing.

const FAULTS = [
  ["lose", "lose its next messages"], ["twice", "deliver its next messages twice"], ["fail", "make its next calls fail"],
  ["kill before", "kill its worker before it acknowledges"], ["kill after", "kill its worker once it has acknowledged"],
  ["kill middle", "kill its worker in the middle"], ["stop broker", "stop the broker"], ["start broker", "start the broker again"],
  ["slow backend", "slow the backend by 0.5 s"], ["undo", "undo all faults"],
];

export function element(tag, name = "", text = "", more = {}) {
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

/** A button that does `pressed`. */
export function button(name, text, title, pressed) {
  const made = element("button", name, text, { type: "button", title });
  made.addEventListener("click", pressed);
  return made;
}

/** The buttons in the corner of a drawing. */
export function zoomer(drawing) {
  const made = element("div", "zoom", "", { role: "group", "aria-label": "zoom" });
  made.append(
    button("", "−", "smaller (-)", () => drawing.zoom(1 / 1.3)),
    button("", "+", "larger (+, or ctrl and wheel)", () => drawing.zoom(1.3)),
    button("", "fit", "the whole drawing (0)", () => drawing.fit()),
  );
  return made;
}

/** `on` holds what each control does: live, back, go, step, forward, speed(times), slow(seconds), fault(name, task, times). */
export class Bar {
  constructor(on) {
    this.on = on;
    this.root = element("div", "bar", "", { role: "toolbar", "aria-label": "player" });
    this.mode = button("mode", "", "to what happens now", on.live);
    this.back = button("back", "", "back by one message or fact (←)", on.back);
    this.go = button("go", "", "play or pause (space)", on.go);
    this.next = button("next", "", "on by one task (S)", on.step);
    this.message = button("message", "", "on by one message: live, to the next that is sent (→)", on.forward);
    label(this.back, "back", "");
    label(this.message, "forward", "");
    label(this.next, "next", "Step");
    for (const each of [this.back, this.message]) each.setAttribute("aria-label", each.title);
    const speeds = [0.25, 0.5, 1, 2, 4, 16].map((each) => [each, `${each} ×`]);
    this.speed = choice("speed", "speed of the replay", speeds, (value) => on.speed(Number(value)));
    this.speed.select.value = "1";
    const slow = [[0, "no delay"], [0.25, "slow: 0.25 s"], [0.5, "slow: 0.5 s"], [1, "slow: 1 s"], [2, "slow: 2 s"]];
    const title = "slow motion: how long each task waits before it runs";
    this.slow = choice("slow", title, slow, (value) => on.slow(Number(value)));
    this.count = element("span", "count");
    const controls = [this.mode, this.back, this.go, this.next, this.message, this.speed.label, this.slow.label];
    this.root.append(...controls, this.faults(), this.count);
  }

  faults() {
    this.menu = element("details", "faults");
    const panel = element("div", "menu");
    this.target = element("select", "", "", { "aria-label": "the task that a fault is for" });
    this.times = element("input", "times", "", { type: "number", min: "1", max: "99", value: "1", "aria-label": "how often" });
    const often = element("label", "often", "how often");
    often.append(this.times);
    panel.append(this.target, often);
    for (const [fault, text] of FAULTS) {
      panel.append(button("fault", text, text, () => {
        this.on.fault(fault, this.target.value, Math.max(1, Math.min(99, Math.round(this.times.value) || 1)));
        this.shut();
      }));
    }
    this.menu.append(element("summary", "", "⚡ Faults"), panel);
    this.menu.addEventListener("toggle", () => panel.style.setProperty("--left", `${this.menu.offsetLeft}px`));
    return this.menu;
  }

  /** Close the menu. */
  shut() {
    if (this.menu.querySelector(":focus")) this.menu.firstChild.focus();
    this.menu.open = false;
  }

  /** How the lab is. */
  lab(lab) {
    if (!lab) return;
    if (this.target.dataset.tasks !== lab.tasks.join()) {
      const chosen = this.target.value;
      this.target.replaceChildren(...lab.tasks.map((task) => new Option(task, task)));
      this.target.dataset.tasks = lab.tasks.join();
      if (lab.tasks.includes(chosen)) this.target.value = chosen;
    }
    const { select } = this.slow;
    select.value = String(lab.slow);
    if (select.selectedIndex < 0) select.append(new Option(`slow: ${lab.slow} s`, lab.slow, true, true));
  }

  paint({ live, paused, over, cursor, count, faults }) {
    label(this.mode, "live", live ? (paused ? "live, paused" : "live") : over ? "recorded" : "back to live");
    this.mode.classList.toggle("on", live);
    this.mode.disabled = live || over;
    label(this.go, paused ? "play" : "pause", paused ? (live ? "Resume" : "Play") : "Pause");
    this.next.disabled = live && !paused;
    this.message.disabled = live && !paused;
    this.back.disabled = cursor === 0;
    this.speed.label.hidden = live;
    this.slow.label.hidden = !live;
    this.menu.hidden = !faults;
    this.count.textContent = `${cursor} of ${count}`;
  }
}
