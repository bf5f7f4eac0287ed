// Correlations of the parameters: a map in colours and numbers, and the same as a table.
import { element } from "./page.js";
import { colour, Plot, toolbar } from "./plot.js";
import { getNumbers } from "./views.js";

const MOST = 15;
const DRAWS = 4000;

// traces: where the draws are of which a pair is drawn; null when there are none.
export function drawCorrelations(place, found, traces = null) {
  const [labels, matrix] = trusted(found);
  if (labels.length < 2) {
    place.append(element("p", { class: "faint", text: "With one parameter there is nothing to correlate." }));
    return;
  }
  const words = element("p", { class: "faint" });
  const canvas = element("canvas", { class: "heat", tabindex: "0", role: "img" });
  const says = element("p", { class: "mono", role: "status", "aria-live": "polite", text: "\u00a0" });
  const table = element("details", {}, element("summary", { text: "As a table" }));
  const pair = element("div", { class: "pair-of-draws" });
  const map = new HeatMap(canvas, says, traces && ((row, column) => showPair(pair, traces, chosen[row], chosen[column])));
  const chosen = strongest(matrix, labels.length);
  const show = () => {
    map.set(chosen.map((index) => labels[index]), chosen.map((row) => chosen.map((column) => matrix[row]?.[column])));
    words.textContent = summary(labels, matrix, chosen);
    canvas.setAttribute("aria-label", `Correlations. ${words.textContent} Arrow keys go through the cells${traces ? ", Enter draws the pair" : ""}.`);
    table.replaceChildren(table.firstElementChild, asTable(map.labels, map.values));
  };
  place.append(words);
  if (labels.length > MOST) place.append(picker(labels, chosen, show));
  place.append(canvas, says);
  if (traces) place.append(element("p", { class: "faint", text: "Choose a cell to see the draws of its two parameters." }), pair);
  place.append(table);
  show();
}

// The document is a stranger's: labels become texts, what is no number is nothing.
function trusted(found) {
  const labels = Array.isArray(found?.labels) ? found.labels.slice(0, 2000).map((label) => String(label).slice(0, 200)) : [];
  const rows = Array.isArray(found?.matrix) ? found.matrix : [];
  return [labels, labels.map((_, row) => labels.map((__, column) => (typeof rows[row]?.[column] === "number" ? rows[row][column] : undefined)))];
}

async function showPair(place, address, row, column) {
  if (row === column) return;
  const wanted = (place.dataset.pair = `${row} ${column}`);
  let traces;
  try {
    traces = await getNumbers(address);
  } catch (error) {
    place.replaceChildren(element("p", { class: "note", text: `The draws cannot be read (${error.message}).` }));
    return;
  }
  if (place.dataset.pair !== wanted) return;
  const draws = (Array.isArray(traces.draws) ? traces.draws : []).flat().filter((one) => Number.isFinite(one?.[row]) && Number.isFinite(one?.[column]));
  const every = Math.max(1, Math.ceil(draws.length / DRAWS));
  const shown = draws.filter((_, index) => index % every === 0);
  const [x, y] = [column, row].map((index) => shown.map((one) => one[index]));
  const name = (index) => String(traces.labels?.[index] ?? `parameter ${index + 1}`).slice(0, 200);
  place.replaceChildren();
  if (!shown.length) {
    place.append(element("p", { class: "note", text: "There are no draws of these two." }));
    return;
  }
  const tools = element("div");
  place.append(element("h3", { text: `${name(row)} over ${name(column)}` }), tools, element("p", { class: "faint", text: `${shown.length} of ${draws.length} draws. A round cloud: they do not depend on each other; a thin tilted one: the data fix only a combination of the two.` }));
  const plot = new Plot(place, { x, xLabel: name(column), yLabel: name(row), series: [{ label: name(row), values: y, colour: "--plot-data", kind: "points" }], height: 300, label: "Draws of two parameters." });
  toolbar(tools, () => [plot]);
  plot.host.querySelector(".u-legend")?.remove();
}

// The parameters with the strongest correlations, in the order of the problem.
function strongest(matrix, count) {
  const all = [...Array(count).keys()];
  if (count <= MOST) return all;
  const strength = (row) => Math.max(...all.filter((column) => column !== row).map((column) => Math.abs(matrix[row]?.[column] ?? 0)));
  return all.map((row) => [strength(row), row]).sort((a, b) => b[0] - a[0]).slice(0, MOST).map(([, row]) => row).sort((a, b) => a - b);
}

function picker(labels, chosen, show) {
  const box = element("div", { class: "choose", role: "group", "aria-label": "Parameters to show" });
  const rows = labels.map((label, index) => {
    const tick = element("input", { type: "checkbox" });
    tick.addEventListener("change", () => choose(labels.map((_, one) => one).filter((one) => (one === index ? tick.checked : chosen.includes(one)))));
    const row = element("label", {}, tick, label);
    box.append(row);
    return { tick, row, label: label.toLowerCase() };
  });
  const choose = (indices) => {
    chosen.splice(0, chosen.length, ...indices);
    rows.forEach((one, index) => (one.tick.checked = chosen.includes(index)));
    show();
  };
  const find = element("input", { type: "search", placeholder: "part of a name", "aria-label": "Find parameters" });
  const found = () => rows.map((one, index) => [one, index]).filter(([one]) => !one.row.hidden).map(([, index]) => index);
  find.addEventListener("input", () => rows.forEach((one) => (one.row.hidden = !one.label.includes(find.value.trim().toLowerCase()))));
  const button = (text, indices) => {
    const node = element("button", { type: "button", class: "quiet", text });
    node.addEventListener("click", () => choose(indices()));
    return node;
  };
  const tools = element("p", { class: "plot-tools" }, find, button("All of these", found), button("None", () => []), button(`Strongest ${MOST}`, () => [...first]));
  const first = [...chosen];
  rows.forEach((one, index) => (one.tick.checked = chosen.includes(index)));
  return element("details", {}, element("summary", { text: `Choose among ${labels.length} parameters` }), tools, box);
}

function summary(labels, matrix, chosen) {
  const pairs = [];
  for (const row of chosen) for (const column of chosen) if (column > row && Math.abs(matrix[row]?.[column] ?? 0) >= 0.8) pairs.push([row, column]);
  pairs.sort((a, b) => Math.abs(matrix[b[0]][b[1]]) - Math.abs(matrix[a[0]][a[1]]));
  if (chosen.length < 2) return "Choose two parameters or more.";
  if (!pairs.length) return "No two of these parameters are correlated by 0.8 or more.";
  const named = pairs.slice(0, 3).map(([row, column]) => `${labels[row]} and ${labels[column]} (${matrix[row][column].toFixed(2)})`);
  return `Strongly correlated: ${named.join("; ")}${pairs.length > 3 ? `; and ${pairs.length - 3} more pairs` : ""}.`;
}

function asTable(labels, values) {
  const head = element("tr", {}, element("td"), ...labels.map((label) => element("th", { scope: "col", class: "number", text: label })));
  const rows = values.map((row, index) => element("tr", {}, element("th", { scope: "row", text: labels[index] }), ...row.map((value) => element("td", { class: "number", text: text(value) }))));
  const body = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
  return element("div", { class: "scroll", role: "region", "aria-label": "Correlations", tabindex: "0" }, body);
}

function text(value) {
  return Number.isFinite(value) ? value.toFixed(2) : "-";
}

// Blue for negative, orange for positive: told apart by everybody; the numbers stand in the cells.
function shade(value) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const ends = dark ? [[86, 180, 233], [240, 160, 32]] : [[0, 114, 178], [213, 94, 0]];
  const zero = dark ? [27, 35, 34] : [255, 255, 255];
  const end = value < 0 ? ends[0] : ends[1];
  const part = Math.min(1, Math.abs(value));
  const mixed = zero.map((base, index) => Math.round(base + (end[index] - base) * part));
  const light = (0.299 * mixed[0] + 0.587 * mixed[1] + 0.114 * mixed[2]) > 140;
  return [`rgb(${mixed.join(" ")})`, light ? "#101615" : "#ffffff"];
}

class HeatMap {
  constructor(canvas, says, opened = null) {
    Object.assign(this, { canvas, says, opened, at: [0, 1] });
    if (opened) canvas.addEventListener("click", (event) => this.open(...this.cellAt(event)));
    canvas.addEventListener("pointermove", (event) => this.pointed(event));
    canvas.addEventListener("keydown", (event) => this.pressed(event));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement || document.body);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  set(labels, values) {
    Object.assign(this, { labels, values });
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    const room = this.canvas.parentElement?.clientWidth;
    this.canvas.hidden = !this.labels?.length;
    if (!room || !this.labels?.length) return;
    const ctx = this.canvas.getContext("2d");
    const font = "12px system-ui, sans-serif";
    ctx.font = font;
    const side = Math.min(150, room * 0.32, 12 + Math.max(...this.labels.map((label) => ctx.measureText(label).width)));
    const cell = Math.max(2, Math.min(54, Math.floor((room - side - 2) / this.labels.length)));
    const width = side + cell * this.labels.length + 2;
    const scale = devicePixelRatio || 1;
    Object.assign(this, { side, cell });
    this.canvas.width = width * scale;
    this.canvas.height = width * scale;
    this.canvas.style.width = `${width}px`;
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.font = font;
    ctx.textBaseline = "middle";
    this.values.forEach((row, y) => row.forEach((value, x) => this.drawCell(ctx, value, x, y)));
    ctx.fillStyle = colour("--ink");
    const every = Math.ceil(11 / cell); // where all have no room
    this.labels.forEach((label, index) => index % every === 0 && this.drawLabel(ctx, label, index));
  }

  drawCell(ctx, value, x, y) {
    const [fill, ink] = Number.isFinite(value) ? shade(value) : [colour("--plot-grid"), colour("--ink")];
    const [left, top] = [this.side + x * this.cell, this.side + y * this.cell];
    ctx.fillStyle = fill;
    ctx.fillRect(left, top, this.cell - 1, this.cell - 1);
    if (this.cell < 30) return;
    ctx.fillStyle = ink;
    ctx.textAlign = "center";
    ctx.fillText(text(value), left + this.cell / 2, top + this.cell / 2);
  }

  drawLabel(ctx, label, index) {
    const middle = this.side + (index + 0.5) * this.cell;
    const short = shorten(ctx, label, this.side - 8);
    ctx.textAlign = "right";
    ctx.fillText(short, this.side - 6, middle);
    ctx.save();
    ctx.translate(middle, this.side - 6);
    ctx.rotate(-Math.PI / 2);
    ctx.textAlign = "left";
    ctx.fillText(short, 0, 0);
    ctx.restore();
  }

  cellAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const place = (value, from) => Math.floor((value - from - this.side) / this.cell);
    return [place(event.clientY, box.top), place(event.clientX, box.left)];
  }

  pointed(event) {
    this.tell(...this.cellAt(event));
  }

  open(row, column) {
    if (this.values[row]?.[column] !== undefined) this.opened(row, column);
  }

  pressed(event) {
    if (this.opened && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.open(...this.at);
      return;
    }
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const last = this.labels.length - 1;
    this.at = this.at.map((value, index) => Math.max(0, Math.min(last, value + move[index])));
    this.tell(...this.at);
  }

  tell(row, column) {
    const value = this.values[row]?.[column];
    this.says.textContent = value === undefined ? "\u00a0" : `${this.labels[row]}, ${this.labels[column]}: ${text(value)}`;
  }
}

function shorten(ctx, label, width) {
  if (ctx.measureText(label).width <= width) return label;
  let kept = label;
  while (kept.length > 1 && ctx.measureText(kept + "…").width > width) kept = kept.slice(0, -1);
  return kept + "…";
}
