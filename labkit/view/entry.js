// Where a view begins: in a notebook, or in a page without a kernel.

import { whenGone } from "./kernel.js";
import { savePicture } from "./saved.js";
import { View } from "./view.js";

/** What anywidget calls once, wherever the widget is shown and whether it is at all. */
export function initialize({ model }) {
  const { id, over, picture } = model.get("record");
  const keep = (news) => {
    if (news?.picture) savePicture(model.widget_manager, id, news.picture, news.over);
  };
  keep({ over, picture });
  model.on("msg:custom", (content) => keep(content.news));
  // What came while this script was loading has gone by.
  if (!over) model.send({ do: "picture" });
}

/** The style sheet, put in once: whenever one is, every element of the page is styled anew. */
export function dress(css) {
  const worn = document.getElementById("labkit-style");
  if (worn?.textContent === css) return;
  const style = worn ?? document.createElement("style");
  style.id = "labkit-style";
  style.textContent = css;
  if (!worn) document.head.append(style);
}

/** What anywidget calls for each place in which the widget is shown. */
export function render({ model, el }) {
  const view = new View(el, model.get("record"), (content) => model.send(content));
  const kept = ({ picture, over } = {}) => {
    if (picture && over) view.root.dataset.kept = true;
  };
  const heard = (content) => {
    kept(content.news);
    view.take(content);
  };
  kept(model.get("record"));
  const heardEnough = whenGone(model, model.get("record").id, () => view.gone());
  model.on("msg:custom", heard);
  return () => {
    model.off("msg:custom", heard);
    heardEnough();
    view.close();
  };
}

/** What a page without a kernel calls. */
export function replay(host, record) {
  return new View(host, record);
}
