// What there is to know about one task, and why it is as it is.

import { button, element } from "./bar.js";

export class Panel {
  /** `closed()` is called when it is closed. */
  constructor(host, closed) {
    this.host = host;
    this.closed = closed;
    this.shut = button("close", "✕", "close (Esc)", () => this.close());
    this.title = element("h4");
    this.said = element("ul", "why", "", { "aria-label": "why" });
    this.about = element("div", "details");
    host.append(this.shut, this.title, this.said, this.about);
    host.hidden = true;
  }

  get open() {
    return !this.host.hidden;
  }

  /** `details`: a title and lines; `sentences`: each a text and its evidence. */
  show(details, sentences) {
    this.tell(details);
    this.said.replaceChildren(...sentences.map(([text, evidence]) => {
      const item = element("li", "", text);
      if (evidence) item.append(element("small", "", ` ${evidence}`));
      return item;
    }));
    if (this.open) return;
    this.host.hidden = false;
    this.shut.focus({ preventScroll: true });
  }

  /** The details as they are now. */
  tell([title, ...lines]) {
    if (this.title.textContent !== title) this.title.textContent = title;
    while (this.about.children.length > lines.length) this.about.lastChild.remove();
    lines.forEach((line, place) => {
      const shown = this.about.children[place] ?? this.about.appendChild(element("div"));
      if (shown.textContent !== line) shown.textContent = line;
    });
  }

  close() {
    this.host.hidden = true;
    this.closed();
  }
}
