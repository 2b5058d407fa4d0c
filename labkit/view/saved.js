// What JupyterLab saves of a run that is over: its picture. A widget's view is dead without its kernel, and JupyterLab
// shows an error in its place, not the picture beside it, when the notebook is opened again.

const VIEW = "application/vnd.jupyter.widget-view+json";

/** `notebook`, as it is saved, with pictures (by model id) in place of views. */
export function withPictures(notebook, pictures) {
  for (const { outputs } of notebook.cells ?? []) {
    for (const { data } of outputs ?? []) {
      const picture = pictures.get(data?.[VIEW]?.model_id);
      if (!picture) continue;
      delete data[VIEW];
      Object.assign(data, picture);
    }
  }
  return notebook;
}

/** From now on the view `id` of this notebook is saved as `picture`. Nothing is done where it is not JupyterLab's. */
export function savePicture(manager, id, picture) {
  const notebook = manager?.context?.model;
  if (typeof notebook?.toJSON !== "function" || !id) return;
  if (!notebook.labkitPictures) {
    const pictures = new Map();
    const { toJSON } = notebook;
    notebook.labkitPictures = pictures;
    notebook.toJSON = (...given) => withPictures(toJSON.apply(notebook, given), pictures);
  }
  notebook.labkitPictures.set(id, picture);
}
