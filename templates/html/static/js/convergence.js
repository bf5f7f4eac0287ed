// Chi-square of the population, step by step.
import { element } from "./page.js";
import { Plot, toolbar } from "./plot.js";

const LOOKS = [["best", "--plot-fit", undefined], ["20 %", "--plot-third", [6, 4]], ["median", "--plot-data", undefined], ["80 %", "--plot-third", [2, 4]], ["worst", "--plot-faint", [2, 2]]];

export function drawConvergence(place, found) {
  const rows = (found.rows || []).filter(Array.isArray);
  if (rows.length < 2) {
    place.append(element("p", { class: "faint", text: "Too few steps for a plot." }));
    return;
  }
  const columns = found.columns || [];
  const steps = columns[0] === "step" || columns.length > 5;
  const x = rows.map((row, index) => (steps ? row[0] : index + 1));
  const first = steps ? 1 : 0;
  const series = rows[0].slice(first, first + 5).map((_, index) => ({ label: columns[index + first] || LOOKS[index][0], values: rows.map((row) => row[index + first]), colour: LOOKS[index][1], dash: LOOKS[index][2], kind: "line", width: index === 0 ? 2.5 : 1.5 })).filter((one, index, all) => index === 0 || !same(one.values, all[0].values));
  const tools = element("div");
  place.append(tools);
  const spec = { x, xLabel: "step", yLabel: "reduced χ²", logY: true, logX: false, series, height: 260, label: "Convergence." };
  const plot = new Plot(place, spec);
  toolbar(tools, () => [plot], [["Log χ²", true, (on) => plot.set({ ...spec, logY: on, logX: plot.spec.logX })], ["Log step", false, (on) => { plot.window = null; plot.set({ ...spec, logX: on, logY: plot.spec.logY }); }]]);
}

function same(one, other) {
  return one.every((value, index) => value === other[index]);
}
