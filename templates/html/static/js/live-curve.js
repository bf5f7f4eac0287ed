// The best curve of each model while its fit runs, beside the data.
import { age, element, number } from "./page.js";
import { Plot, toolbar } from "./plot.js";

export class LiveCurves {
  constructor(place) {
    Object.assign(this, { place, curves: new Map(), model: null, plot: null, log: null });
    this.select = element("select");
    this.select.addEventListener("change", () => this.choose(Number(this.select.value)));
    this.chooser = element("label", { class: "plot-tools", text: "Model " });
    this.chooser.append(this.select);
    this.note = element("p", { class: "faint", id: "live-curve-note" });
  }

  // Keep what is new; answers whether anything is.
  take(event) {
    if (event.element !== null && event.element !== undefined) return false;
    if (!Number.isInteger(event.model) || !Array.isArray(event.x) || !Array.isArray(event.theory)) return false;
    if (this.curves.get(event.model)?.t >= event.t) return false;
    this.curves.set(event.model, event);
    this.model ??= event.model;
    return true;
  }

  choose(model) {
    this.model = model;
    this.plot?.close();
    this.tools?.remove();
    this.plot = this.log = null;
    this.draw();
  }

  draw() {
    const found = this.curves.get(this.model);
    if (!found) return;
    const { x, y, theory } = found;
    this.log ??= { x: decades(x, 1000), y: Boolean(y) && decades(y, 1000) };
    if (this.plot) this.plot.set(this.spec(found));
    else this.make(found);
    this.list();
    const far = y ? worst(found) : "";
    this.note.replaceChildren("Best curve, ", age(found.t), `: ${theory.length} points${far}.`);
    this.place.dataset.t = found.t;
  }

  make(found) {
    this.tools = element("div");
    this.place.replaceChildren(this.tools);
    this.plot = new Plot(this.place, this.spec(found));
    this.place.append(this.note);
    const set = (axis) => (on) => {
      this.log[axis] = on;
      if (axis === "x") this.plot.window = null;
      this.plot.set(this.spec(this.curves.get(this.model)));
    };
    toolbar(this.tools, () => [this.plot], [["Log x", this.log.x, set("x")], ["Log y", this.log.y, set("y")]]);
  }

  spec({ x, y, dy, theory }) {
    const series = [];
    const ends = (sign) => dy && y.map((value, i) => value + sign * dy[i]);
    if (y) series.push({ label: "data", values: y, colour: "--plot-data", kind: "points", low: ends(-1), high: ends(1) });
    series.push({ label: "best so far", values: theory, colour: "--plot-fit", kind: "line", width: 2.5 });
    return { x, xLabel: "x", yLabel: "y", logX: this.log.x, logY: this.log.y, series, height: 240, label: "Live best curve." };
  }

  list() {
    if (this.curves.size < 2) return;
    const models = [...this.curves.keys()].sort((a, b) => a - b);
    if (models.length !== this.select.options.length) {
      this.select.replaceChildren(...models.map((model) => element("option", { value: model, text: `model ${model + 1}` })));
      this.select.value = this.model;
    }
    if (!this.chooser.isConnected) this.place.prepend(this.chooser);
  }

  close() {
    this.plot?.close();
  }
}

function decades(values, most) {
  const low = Math.min(...values);
  return low > 0 && Math.max(...values) / low > most;
}

function worst({ x, y, dy, theory }) {
  if (!dy) return "";
  const far = y.map((value, i) => Math.abs((theory[i] - value) / dy[i]));
  const most = Math.max(...far.filter(Number.isFinite));
  return Number.isFinite(most) ? `; at most ${number(most, 3)} σ from the data, at x = ${number(x[far.indexOf(most)], 4)}` : "";
}
