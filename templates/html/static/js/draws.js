// What dream drew: the distribution of a parameter and the traces of its chains.
import { element, number } from "./page.js";
import { colour, Plot, toolbar } from "./plot.js";

const CHAINS = 12;
const COLOURS = ["--plot-data", "--plot-fit", "--plot-third", "--plot-faint"];

export function drawDraws(place, foundTraces, foundHistograms) {
  const traces = trusted(foundTraces);
  const labels = traces.labels;
  const histograms = foundHistograms && labels.map((_, index) => histogram(foundHistograms, index));
  const select = element("select");
  labels.forEach((label, index) => select.append(element("option", { value: index, text: label })));
  const chooser = element("label", { class: "plot-tools", text: "Parameter " });
  chooser.append(select);
  const box = element("div", { class: "pair" });
  const small = histograms && labels.length > 1 ? overview(labels, histograms, (index) => {
    select.value = String(index);
    show();
    box.scrollIntoView({ block: "nearest" });
  }) : null;
  if (small) place.append(small.node);
  place.append(chooser, box);
  let plots = [];
  const show = () => {
    for (const plot of plots) plot.close();
    box.replaceChildren();
    const index = Number(select.value);
    small?.mark(index);
    plots = [histograms?.[index] && drawHistogram(box, histograms[index], labels[index]), drawTraces(box, traces, index, labels[index])].filter(Boolean);
  };
  select.addEventListener("change", show);
  show();
}

// The documents are a stranger's: labels become texts, what is no number is nothing.
function trusted(found) {
  const labels = (Array.isArray(found?.labels) ? found.labels : []).slice(0, 2000).map((label) => String(label).slice(0, 200));
  const draws = (Array.isArray(found?.draws) ? found.draws : []).filter((row) => Array.isArray(row) && row.every(Array.isArray));
  return { labels, draws };
}

function histogram(found, index) {
  const edges = found.edges?.[index];
  const counts = found.counts?.[index];
  const good = (values) => Array.isArray(values) && values.length > 0 && values.every(Number.isFinite);
  return good(edges) && good(counts) && edges.length === counts.length + 1 ? { edges, counts } : null;
}

// All distributions at a glance: which are narrow, lopsided, doubled, or cut by a bound.
function overview(labels, histograms, choose) {
  const buttons = labels.map((label, index) => {
    const canvas = element("canvas", { width: 240, height: 96, "aria-hidden": "true" });
    const button = element("button", { type: "button", class: "quiet", title: label }, canvas, element("span", { text: label }));
    button.addEventListener("click", () => choose(index));
    if (histograms[index]) sketch(canvas, histograms[index]);
    return button;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => buttons.forEach((button, index) => histograms[index] && sketch(button.firstChild, histograms[index])));
  const box = element("div", { class: "sketches", role: "group", "aria-label": "Distributions of all parameters" }, ...buttons);
  const node = element("details", { open: labels.length <= 30 }, element("summary", { text: `All ${labels.length} distributions` }), box);
  return { node, mark: (chosen) => buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(index === chosen))) };
}

function sketch(canvas, { counts, edges }) {
  const ctx = canvas.getContext("2d");
  const { width, height } = canvas;
  const most = Math.max(...counts) || 1;
  const [low, high] = quantiles(edges, counts, [0.1587, 0.8413]);
  ctx.clearRect(0, 0, width, height);
  const [inside, outside] = [colour("--plot-fit"), colour("--plot-data")];
  counts.forEach((count, bin) => {
    const middle = (edges[bin] + edges[bin + 1]) / 2;
    ctx.fillStyle = middle >= low && middle <= high ? inside : outside;
    const tall = (count / most) * (height - 2);
    ctx.fillRect((bin / counts.length) * width, height - tall, width / counts.length, tall);
  });
}

function drawTraces(box, traces, index, label) {
  const { draws } = traces;
  if (draws.length < 2) return null;
  const part = element("div");
  const chains = draws[0].length;
  const every = Math.max(1, Math.ceil(chains / CHAINS));
  const shown = [...Array(chains).keys()].filter((chain) => chain % every === 0);
  const series = shown.map((chain, order) => ({ label: `chain ${chain + 1}`, values: draws.map((row) => (Number.isFinite(row[chain]?.[index]) ? row[chain][index] : null)), colour: COLOURS[order % 4], width: 1, kind: "line" }));
  const words = `Traces of ${shown.length} of ${chains} chains. Level and tangled is good; a drift means that burn-in was too short.`;
  part.append(element("p", { class: "faint", text: words }));
  box.append(part);
  const plot = new Plot(part, { x: draws.map((_, step) => step), xLabel: "generation (thinned)", yLabel: label, series, height: 260, label: "Traces." });
  plot.host.querySelector(".u-legend")?.remove();
  toolbar(part, () => [plot]);
  return plot;
}

function drawHistogram(box, { edges, counts }, label) {
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
