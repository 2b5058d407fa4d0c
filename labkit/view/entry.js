// Where a view begins: in a notebook, or in a page without a kernel.

import { savePicture } from "./saved.js";
import { View } from "./view.js";

/** What anywidget calls for each place in which the widget is shown. */
export function render({ model, el }) {
  const view = new View(el, model.get("record"), (content) => model.send(content));
  const { id } = model.get("record");
  const keep = (news) => {
    if (!news?.picture) return;
    savePicture(model.widget_manager, id, news.picture);
    view.root.dataset.kept = true;
  };
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
