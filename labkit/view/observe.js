// What the page tells a view: sizes, what is in sight, the theme. To ask for them would lay out the whole page.

/** Tell `view` until it is closed. */
export function observe(view) {
  const { signal } = view.closing;
  const sizes = new ResizeObserver((told) => {
    for (const { target, contentRect } of told) {
      if (target === view.canvas) view.drawing.resize(contentRect);
      else view.timeline.width = contentRect.width;
    }
    view.draw();
  });
  const sight = new IntersectionObserver(([told]) => {
    view.unseen = !told.isIntersecting;
    view.draw();
  });
  const theme = new MutationObserver(() => view.draw());
  sizes.observe(view.canvas);
  sizes.observe(view.timeline.canvas);
  sight.observe(view.root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.draw(), { signal });
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  signal.addEventListener("abort", () => {
    for (const observer of [sizes, sight, theme]) observer.disconnect();
  });
}
