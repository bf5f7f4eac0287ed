// A parameter over all elements of an array: does it move with temperature, field, time?
import { element, number } from "./page.js";
import { Plot, toolbar } from "./plot.js";

const NUMBER = /-?\d+(?:\.\d+)?(?:e[-+]?\d+)?/i;
const CHISQ = "χ²";

export function drawTrend(place, elements) {
  const done = elements.filter((one) => one.parameters.length || one.chisq !== null);
  const labels = [...new Set(done.flatMap((one) => one.parameters.map((row) => row.parameter)))];
  if (done.length < 2) {
    place.append(element("p", { class: "faint", text: "Too few elements have a result for a plot." }));
    return;
  }
  const parameter = chooser("Parameter", [...labels, CHISQ]);
  const ways = waysOver(done);
  const over = chooser("over", [...ways.keys()]);
  const words = element("p", { class: "faint", role: "status" });
  const box = element("div");
  place.append(element("p", { class: "plot-tools" }, parameter.label, over.label), words, box);
  const spec = () => trend(done, parameter.select.value, over.select.value, ways.get(over.select.value));
  const tools = element("div");
  box.append(tools);
  const plot = new Plot(box, spec());
  toolbar(tools, () => [plot], [["Log y", false, (on) => plot.set({ ...spec(), logY: on })]]);
  const show = () => {
    plot.window = null;
    plot.set({ ...spec(), logY: plot.spec.logY });
    words.textContent = told(plot.spec.series[0].values, done.length);
  };
  for (const one of [parameter, over]) one.select.addEventListener("change", show);
  show();
}

function chooser(name, options) {
  const select = element("select");
  options.forEach((text, index) => select.append(element("option", { value: text, text, selected: index === 0 ? "" : null })));
  const label = element("label", { text: `${name} ` });
  label.append(select, " ");
  return { select, label };
}

// Only if each name has a number, and they differ: "300 K", "run 7".
function numbered(elements) {
  const found = elements.map((one) => NUMBER.exec(String(one.label ?? ""))?.[0]);
  return found.every(Boolean) && new Set(found).size === found.length;
}

// What the elements can be drawn over, what a campaign fixed first: name to value of an element.
function waysOver(elements) {
  const held = [...new Set(elements.flatMap((one) => Object.keys(one.fixed ?? {})))];
  const ways = new Map(held.map((name) => [name, (one) => one.fixed?.[name] ?? null]));
  ways.set("number of the element", (one) => one.element);
  if (numbered(elements) && held.length === 0) ways.set("number in its name", (one) => Number(NUMBER.exec(one.label)[0]));
  return ways;
}

function trend(elements, name, over, place) {
  // A curve is drawn from left to right, however the elements are sorted.
  elements = elements.filter((one) => place(one) !== null).sort((one, other) => place(one) - place(other));
  const x = elements.map(place);
  const rows = elements.map((one) => (name === CHISQ ? { value: one.chisq } : one.parameters.find((row) => row.parameter === name)));
  const values = rows.map((row) => row?.value ?? null);
  const end = (row, sign) => (row?.value === undefined || row.value === null ? null : row.value + sign * (row.uncertainty ?? 0));
  const series = [{ label: name, values, low: rows.map((row) => end(row, -1)), high: rows.map((row) => end(row, 1)), colour: "--plot-data", kind: "points" }];
  return { x, xLabel: over, yLabel: name, series, height: 280, label: `${name} of all elements.` };
}

function told(values, count) {
  const known = values.filter((value) => value !== null);
  if (!known.length) return "No element has it.";
  const range = `from ${number(Math.min(...known), 5)} to ${number(Math.max(...known), 5)}`;
  return `${known.length} of ${count} elements with a result have it, ${range}.`;
}
