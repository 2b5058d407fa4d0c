// What JupyterLab saves of a widget of ours: its picture. A widget's view is dead without its kernel, and JupyterLab
// shows an error in its place, not the picture beside it, when the notebook is opened again.

const VIEW = "application/vnd.jupyter.widget-view+json";

/** `notebook`, as it is saved, with pictures (by model id) in place of views; one that goes on leaves its name there. */
export function withPictures(notebook, pictures) {
  for (const { outputs } of notebook.cells ?? []) {
    for (const output of outputs ?? []) {
      const { data } = output;
      const id = data?.[VIEW]?.model_id;
      const kept = pictures.get(id);
      if (!kept) continue;
      delete data[VIEW];
      Object.assign(data, kept.picture);
      const { labkit, ...metadata } = output.metadata ?? {};
      output.metadata = kept.over ? metadata : { ...metadata, labkit: { view: id } };
    }
  }
  return notebook;
}

/** The view `id` is back where it was when `notebook` was saved: its kernel goes on, only the page is a new one. */
function bringBack(notebook, id) {
  for (const cell of notebook.cells ?? []) {
    const outputs = cell.outputs;
    for (let place = 0; place < (outputs?.length ?? 0); place += 1) {
      const output = outputs.get(place).toJSON();
      if (output.metadata?.labkit?.view !== id || output.data[VIEW]) continue;
      const view = { version_major: 2, version_minor: 0, model_id: id };
      outputs.set(place, { ...output, data: { ...output.data, [VIEW]: view } });
    }
  }
}

/** From now on the view `id` of this notebook is saved as `picture`. Nothing is done where it is not JupyterLab's. */
export function savePicture(manager, id, picture, over) {
  const notebook = manager?.context?.model;
  if (typeof notebook?.toJSON !== "function" || !id) return;
  if (!notebook.labkitPictures) {
    const pictures = new Map();
    const { toJSON } = notebook;
    notebook.labkitPictures = pictures;
    notebook.toJSON = (...given) => withPictures(toJSON.apply(notebook, given), pictures);
  }
  if (!notebook.labkitPictures.has(id) && !over) bringBack(notebook, id);
  notebook.labkitPictures.set(id, { picture, over });
}

/** What anywidget calls once for a model that has the picture of another widget. */
export function keepPicture({ model }) {
  const keep = () => savePicture(model.widget_manager, model.get("of"), model.get("picture"), false);
  keep();
  model.on("change:picture", keep);
}
