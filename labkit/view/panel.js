// What there is to know about one task, and why it is as it is.

import { button, element } from "./bar.js";

export class Panel {
  /** `closed()` is called when it is closed. */
  constructor(host, closed) {
    this.host = host;
    this.closed = closed;
    host.hidden = true;
  }

  get open() {
    return !this.host.hidden;
  }

  /** `details`: a title and lines; `sentences`: each a text and its evidence. */
  show([title, ...lines], sentences) {
    const shut = button("close", "✕", "close (Esc)", () => this.close());
    const said = element("ul", "why", "", { "aria-label": "why" });
    for (const [text, evidence] of sentences) {
      const item = element("li", "", text);
      if (evidence) item.append(element("small", "", ` ${evidence}`));
      said.append(item);
    }
    const about = element("div", "details");
    about.append(...lines.map((line) => element("div", "", line)));
    this.host.replaceChildren(shut, element("h4", "", title), said, about);
    this.host.hidden = false;
    shut.focus({ preventScroll: true });
  }

  close() {
    this.host.hidden = true;
    this.closed();
  }
}
