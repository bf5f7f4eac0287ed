// What dream drew: the distribution of a parameter and the traces of its chains.
import { element, number } from "./page.js";
import { Plot, toolbar } from "./plot.js";

const CHAINS = 12;
const COLOURS = ["--plot-data", "--plot-fit", "--plot-third", "--plot-faint"];

export function drawDraws(place, traces, histograms) {
  const labels = (traces.labels || []).map(String);
  const select = element("select");
  labels.forEach((label, index) => select.append(element("option", { value: index, text: label })));
  const chooser = element("label", { class: "plot-tools", text: "Parameter " });
  chooser.append(select);
  const box = element("div", { class: "pair" });
  place.append(chooser, box);
  let plots = [];
  const show = () => {
    for (const plot of plots) plot.close();
    box.replaceChildren();
    const index = Number(select.value);
    plots = [histograms && drawHistogram(box, histograms, index, labels[index]), drawTraces(box, traces, index, labels[index])].filter(Boolean);
  };
  select.addEventListener("change", show);
  show();
}

function drawTraces(box, traces, index, label) {
  const draws = traces.draws || [];
  if (draws.length < 2) return null;
  const part = element("div");
  const chains = draws[0].length;
  const every = Math.max(1, Math.ceil(chains / CHAINS));
  const shown = [...Array(chains).keys()].filter((chain) => chain % every === 0);
  const series = shown.map((chain, order) => ({ label: `chain ${chain + 1}`, values: draws.map((row) => row[chain]?.[index] ?? null), colour: COLOURS[order % 4], width: 1, kind: "line" }));
  const words = `Traces of ${shown.length} of ${chains} chains. Level and tangled is good; a drift means that burn-in was too short.`;
  part.append(element("p", { class: "faint", text: words }));
  box.append(part);
  const plot = new Plot(part, { x: draws.map((_, step) => step), xLabel: "generation (thinned)", yLabel: label, series, height: 260, label: "Traces." });
  plot.host.querySelector(".u-legend")?.remove();
  toolbar(part, () => [plot]);
  return plot;
}

function drawHistogram(box, histograms, index, label) {
  const edges = histograms.edges?.[index];
  const counts = histograms.counts?.[index];
  if (!edges || !counts || edges.length !== counts.length + 1) return null;
  const part = element("div");
  box.append(part);
  // Steps: each count stands from its edge to the next.
  const values = [...counts, counts.at(-1)];
  const [low, middle, high] = quantiles(edges, counts, [0.1587, 0.5, 0.8413]);
  part.append(element("p", { class: "faint", text: `Distribution: median ${number(middle, 5)}, 68 % between ${number(low, 5)} and ${number(high, 5)}.` }));
  const inside = edges.map((edge, i) => (edge >= low && edge <= high ? values[i] : null));
  const series = [{ label: "draws", values, colour: "--plot-data", kind: "steps", width: 1.5 }, { label: "inside 68 %", values: inside, colour: "--plot-fit", kind: "steps", width: 3 }];
  const plot = new Plot(part, { x: edges, xLabel: label, yLabel: "draws", series, zero: true, height: 260, label: "Distribution." });
  toolbar(part, () => [plot]);
  return plot;
}

function quantiles(edges, counts, parts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return parts.map((part) => {
    let seen = 0;
    for (let bin = 0; bin < counts.length; bin += 1) {
      if (seen + counts[bin] >= part * total) return edges[bin] + ((edges[bin + 1] - edges[bin]) * (part * total - seen)) / (counts[bin] || 1);
      seen += counts[bin];
    }
    return edges.at(-1);
  });
}
