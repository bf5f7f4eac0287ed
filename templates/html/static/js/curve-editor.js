// The plot of data and start curve, in which points are left out by click or by drag; and the
// search in the library of functions.
import { element } from "./page.js";
import { Plot, toolbar } from "./plot.js";

const NEAR_PX = 14;

class MaskPlot extends Plot {
  options(width) {
    const options = super.options(width);
    options.cursor.drag.setScale = !this.marking;
    options.hooks.setSelect = [(u) => this.marking && this.selected(u)];
    options.hooks.ready = [(u) => u.over.addEventListener("click", (event) => this.marking && this.clicked(u, event))];
    return options;
  }

  selected(u) {
    const { left, width } = u.select;
    if (width < 4) return;
    const [low, high] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.justDragged = true;
    this.onMark?.((point) => point.x >= low && point.x <= high, true);
  }

  clicked(u, event) {
    if (this.justDragged) {
      this.justDragged = false;
      return;
    }
    let best = null;
    for (const point of this.points) {
      const far = Math.hypot(u.valToPos(point.x, "x") - event.offsetX, u.valToPos(point.y, "y") - event.offsetY);
      if (far < (best?.far ?? NEAR_PX)) best = { far, point };
    }
    if (best) this.onMark?.((point) => point === best.point, false);
  }
}

export class CurveEditor {
  // Without setField it only shows.
  constructor(form, setField = null) {
    Object.assign(this, { form, setField, log: { x: false, y: false }, plot: null });
    this.place = form.querySelector("#plot-place");
    const search = form.querySelector("#find-function");
    const select = form.querySelector("#function");
    if (!select) return;
    this.groups = [...select.querySelectorAll("optgroup")].map((group) => ({ group, options: [...group.children] }));
    search.addEventListener("input", () => this.find(search.value, select));
    select.addEventListener("change", () => this.tell(select));
  }

  find(text, select) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = select.value;
    let first = null;
    select.replaceChildren();
    for (const { group, options } of this.groups) {
      const kept = options.filter((option) => words.every((word) => `${group.label} ${option.textContent} ${option.value} ${option.dataset.formulaText} ${option.dataset.help}`.toLowerCase().includes(word)));
      if (!kept.length) continue;
      group.replaceChildren(...kept);
      select.append(group);
      first ??= kept[0];
    }
    if (!first) {
      this.find("", select);
      select.value = chosen;
      return;
    }
    const still = [...select.options].some((option) => option.value === chosen);
    select.value = still ? chosen : first.value;
    if (!still) select.dispatchEvent(new Event("change", { bubbles: true }));
  }

  tell(select) {
    const option = select.selectedOptions[0];
    this.form.querySelector("#formula-text").textContent = option?.dataset.formulaText ?? "";
    this.form.querySelector("#formula-help").textContent = option?.dataset.help ?? "";
  }

  draw() {
    const part = this.form.querySelector('[data-part="curve"]');
    if (!part || !this.place) return;
    const found = part.dataset.curve ? JSON.parse(part.dataset.curve) : null;
    this.place.hidden = !found;
    if (!found) return;
    const spec = this.spec(found);
    if (this.plot) {
      this.plot.points = spec.points;
      this.plot.set(spec);
      return;
    }
    this.guessLog(found);
    Object.assign(spec, { logX: this.log.x, logY: this.log.y });
    this.make(spec);
  }

  make(spec) {
    const tools = element("div");
    this.place.append(tools);
    this.plot = new MaskPlot(this.place, spec);
    this.plot.points = spec.points;
    this.plot.onMark = (test, out) => this.mark(test, out);
    const toggles = [["Log x", this.log.x, (on) => this.setLog("x", on)], ["Log y", this.log.y, (on) => this.setLog("y", on)]];
    if (this.setField) toggles.push(["Leave out points", false, (on) => this.setMarking(on)]);
    toolbar(tools, () => [this.plot], toggles);
  }

  // Reflectivity and scattering span decades: they are drawn so from the start.
  guessLog(found) {
    const decades = (values) => {
      const kept = values.filter((value) => value > 0);
      return kept.length === values.length && Math.max(...kept) / Math.min(...kept) > 1000;
    };
    this.log = { x: decades(found.x), y: decades(found.y) };
  }

  setLog(axis, on) {
    this.log[axis] = on;
    if (axis === "x") this.plot.window = null;
    this.plot.set({ ...this.plot.spec, logX: this.log.x, logY: this.log.y });
  }

  setMarking(on) {
    this.plot.marking = on;
    this.plot.make();
  }

  spec(found) {
    const points = found.x.map((x, index) => ({
      x,
      y: found.y[index],
      dy: found.dy ? found.dy[index] : null,
      at: found.at[index],
      out: found.mask[index],
      start: found.line ? null : found.start?.[index] ?? null,
    }));
    const line = (found.line?.x ?? []).map((x, index) => ({ x, start: found.line.y[index], y: null }));
    this.every = found.x.length > 1 ? Math.max(1, found.at[1] - found.at[0]) : 1;
    const all = [...points, ...line].sort((a, b) => a.x - b.x);
    const column = (test, value) => all.map((one) => (one.y !== null && test(one) ? value(one) : null));
    const series = [{ label: "data", colour: "--plot-data", kind: "points", values: column((one) => !one.out, (one) => one.y), ...bars(all) }];
    if (points.some((one) => one.out)) series.push({ label: "left out", colour: "--plot-faint", kind: "points", values: column((one) => one.out, (one) => one.y) });
    if (found.start) series.push({ label: "start", colour: "--plot-fit", kind: "line", width: 2.5, values: all.map((one) => one.start ?? null) });
    return { x: all.map((one) => one.x), xLabel: found.x_label, yLabel: found.y_label, logX: this.log.x, logY: this.log.y, series, points, height: 240, label: "Data and start curve." };
  }

  // Write marked points into the field of rows, which is what counts.
  mark(test, out) {
    const left = readRanges(this.form.elements.mask.value);
    for (const point of this.plot.points) {
      if (!test(point)) continue;
      const put = out || !point.out;
      for (let row = point.at; row < point.at + this.every; row += 1) put ? left.add(row) : left.delete(row);
    }
    this.setField("mask", writeRanges(left));
  }
}

function bars(all) {
  const end = (sign) => all.map((one) => (one.y === null || one.out || one.dy === null || one.dy === undefined ? null : one.y + sign * one.dy));
  return { low: end(-1), high: end(1) };
}

function readRanges(text) {
  const rows = new Set();
  for (const part of text.split(/[,;\n]/)) {
    const found = /^\s*(\d+)(?:\s*(?:-|to|:)\s*(\d+))?\s*$/.exec(part);
    if (!found) continue;
    for (let row = Number(found[1]); row <= Number(found[2] ?? found[1]); row += 1) rows.add(row - 1);
  }
  return rows;
}

function writeRanges(rows) {
  const parts = [];
  const sorted = [...rows].sort((a, b) => a - b);
  for (let i = 0; i < sorted.length; i += 1) {
    const first = sorted[i];
    while (sorted[i + 1] === sorted[i] + 1) i += 1;
    parts.push(first === sorted[i] ? String(first + 1) : `${first + 1}-${sorted[i] + 1}`);
  }
  return parts.join(", ");
}
