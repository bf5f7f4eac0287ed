// Chi-square of the population, step by step.
import { element } from "./page.js";
import { Plot, toolbar } from "./plot.js";

const LOOKS = { best: ["--plot-fit", undefined, 2.5], "20%": ["--plot-third", [6, 4], 1.5], "50%": ["--plot-data", undefined, 1.5], "80%": ["--plot-third", [2, 4], 1.5], max: ["--plot-faint", [2, 2], 1.5] };
const NAMES = { "50%": "median", max: "worst" };

export function drawConvergence(place, found) {
  const rows = (found.rows || []).filter(Array.isArray);
  if (rows.length < 2) {
    place.append(element("p", { class: "faint", text: "Too few steps for a plot." }));
    return;
  }
  const columns = found.columns || [];
  const series = columns.map((name, index) => one(name, rows.map((row) => row[index] ?? null))).filter((item, index, all) => item && (index === 0 || !same(item.values, all[0]?.values)));
  const [upper, lower] = ["80%", "20%"].map((name) => series.findIndex((one) => one.label === name));
  const bands = upper > 0 && lower > 0 ? [[upper, lower, "--plot-third"]] : [];
  const x = rows.map((_, index) => index + 1);
  const tools = element("div");
  place.append(tools);
  const spec = { x, xLabel: "step", yLabel: "reduced χ²", logY: true, logX: false, series, bands, height: 260, label: "Convergence." };
  const plot = new Plot(place, spec);
  toolbar(tools, () => [plot], [["Log χ²", true, (on) => plot.set({ ...spec, logY: on, logX: plot.spec.logX })], ["Log step", false, (on) => { plot.window = null; plot.set({ ...spec, logX: on, logY: plot.spec.logY }); }]]);
}

function one(name, values) {
  const look = LOOKS[name];
  return look && { label: NAMES[name] || name, values, colour: look[0], dash: look[1], width: look[2], kind: "line" };
}

function same(values, others) {
  return Boolean(others) && values.every((value, index) => value === others[index]);
}
