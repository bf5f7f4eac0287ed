// Draws what came out: each figure names its plot and the file with its numbers.
import { element } from "./page.js";
import { library } from "./plot-library.js";
import { getNumbers } from "./views.js";
import { drawCurves } from "./curves.js";
import { drawConvergence } from "./convergence.js";
import { drawCorrelations } from "./correlations.js";
import { drawDraws } from "./draws.js";
import { drawTrend } from "./trend.js";

const DRAWERS = { curves: drawCurves, convergence: drawConvergence, correlations: drawCorrelations, traces: drawDraws, trend: drawTrend };

export function drawAll(root) {
  const figures = [...root.querySelectorAll("figure[data-plot]")];
  // A file is fetched when its plot comes near the window.
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "400px" });
  for (const figure of figures) watcher.observe(figure);
}

async function draw(figure) {
  const place = figure.querySelector(".drawing");
  try {
    const [document_] = await Promise.all([getNumbers(figure.dataset.src), library()]);
    const more = figure.dataset.more ? await getNumbers(figure.dataset.more) : figure.dataset.later || null;
    place.replaceChildren();
    DRAWERS[figure.dataset.plot](place, document_, more);
    figure.dataset.drawn = "yes";
  } catch (error) {
    place.replaceChildren(element("p", { class: "note", text: `This plot cannot be drawn (${error.message}); its file can be downloaded below.` }));
    figure.dataset.drawn = "no";
  }
}
