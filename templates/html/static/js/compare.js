// Several fits over each other: data, theory and residuals, and the profiles of reflectometry.
import { element, number } from "./page.js";
import { prepareButtons, reveal } from "./buttons.js";
import { Plot, toolbar } from "./plot.js";
import { library } from "./plot-library.js";
import { areasOf, bandsOfResiduals, getNumbers, mapped, trusted, viewed, viewsOf } from "./views.js";

const DASHES = [undefined, [10, 4], [3, 3], [12, 3, 3, 3], [6, 2], undefined, [10, 4], [3, 3], [12, 3, 3, 3], [6, 2]];

prepareButtons();
reveal(document);
for (const figure of document.querySelectorAll("figure[data-plot=overlay]")) draw(figure, figure.querySelector(".drawing")).catch((error) => failed(figure, error));

function failed(figure, error) {
  figure.querySelector(".drawing").replaceChildren(element("p", { class: "note", text: `The curves cannot be drawn (${error.message}).` }));
  figure.dataset.drawn = "no";
}

async function draw(figure, place) {
  const { members, same_data: same } = JSON.parse(figure.dataset.members);
  const [, ...read] = await Promise.all([library(), ...members.map(readOne)]);
  const usable = read.filter((one) => one.models.length);
  place.replaceChildren();
  for (const one of read.filter((each) => !each.models.length)) place.append(element("p", { class: "note", text: `${one.number}: ${one.why}.` }));
  if (usable.length) new Overlay(place, usable, same === true);
  figure.dataset.drawn = "yes";
}

async function readOne(member) {
  const { number: order, title, curves } = member;
  if (!curves) return { number: order, title, models: [], why: "it left no curves" };
  try {
    return { number: order, title, models: trusted(await getNumbers(curves)), why: "it has no curve that could be drawn" };
  } catch (error) {
    return { number: order, title, models: [], why: `its curves cannot be read (${error.message})` };
  }
}

class Overlay {
  constructor(place, members, same) {
    Object.assign(this, { members, same, index: 0, way: "0", apart: false, shown: new Set(members.map((one) => one.number)) });
    const first = members[0].models[0];
    this.banded = members.some((one) => one.models.some((model) => model.bands));
    this.log = { x: first.log_x, y: first.log_y };
    this.tools = element("div");
    this.words = element("p", { class: "faint", role: "status" });
    this.box = element("div");
    place.append(this.choices(), this.tools, this.words, this.box);
    this.main = new Plot(this.box, this.mainSpec(), (part, source) => this.together(part, source));
    this.residuals = new Plot(this.box, this.residualSpec(), (part, source) => this.together(part, source));
    this.profileBox = element("div");
    place.append(this.profileBox);
    this.showProfile();
    const toggles = [
      ["Log x", this.log.x, (on) => this.change(() => { this.log.x = on; this.main.window = this.residuals.window = null; })],
      ["Log y", this.log.y, (on) => this.change(() => { this.log.y = on; })],
      ["Shift apart", false, (on) => this.change(() => { this.apart = on; })],
    ];
    if (this.banded) toggles.push(["Bands", true, (on) => this.change(() => { this.banded = on; })]);
    toolbar(this.tools, () => [this.main, this.residuals], toggles);
    this.say();
  }

  together(part, source) {
    for (const plot of [this.main, this.residuals]) if (plot && plot !== source) plot.showWindow(part);
  }

  choices() {
    const row = element("div", { class: "plot-tools" });
    const models = Math.max(...this.members.map((one) => one.models.length));
    if (models > 1) row.append(chooser("Model", [...Array(models).keys()].map((index) => [this.nameOf(index), index]), (value) => this.change(() => { this.index = Number(value); this.again(); })));
    // One view for all: a curve that lacks it would lie beside the others in another unit.
    const has = (model, way) => !viewsOf(model).length || viewsOf(model).some(([, one]) => one === way);
    const views = viewsOf(this.members[0].models[0]).filter(([, way]) => this.members.every((one) => one.models.every((model) => has(model, way))));
    if (views.length) row.append(chooser("Show", views, (value) => this.change(() => { this.way = value; })));
    const who = element("span", { class: "who-is-shown", role: "group", "aria-label": "Fits to draw" });
    for (const one of this.members) {
      const tick = element("input", { type: "checkbox", checked: true });
      tick.addEventListener("change", () => this.change(() => (tick.checked ? this.shown.add(one.number) : this.shown.delete(one.number))));
      who.append(element("label", { class: "choice" }, tick, element("b", { class: `badge member-${one.number}`, text: one.number }), element("span", { text: one.title })));
    }
    row.append(who);
    return row;
  }

  nameOf(index) {
    return this.members.map((one) => one.models[index]?.label).find(Boolean) || `model ${index + 1}`;
  }

  // Another model has other axes.
  again() {
    this.main.window = this.residuals.window = null;
    this.showProfile();
  }

  change(what) {
    what();
    this.main.set(this.mainSpec());
    this.residuals.set(this.residualSpec());
    this.showProfile();
    this.say();
  }

  drawn() {
    return this.members.filter((one) => this.shown.has(one.number) && one.models[this.index]).map((one) => ({ ...one, model: viewed(one.models[this.index], this.way) }));
  }

  common(drawn) {
    const first = drawn[0]?.model;
    return { x: union(drawn.map((one) => one.model.x)), xLabel: first?.x_label || "x", logX: this.log.x };
  }

  mainSpec() {
    const drawn = this.drawn();
    const base = this.common(drawn);
    const series = [];
    const areas = [];
    const log = this.log.y;
    const range = spreadOf(drawn);
    drawn.forEach((one, order) => {
      const { model } = one;
      const shift = (value) => (value === null || !this.apart ? value : log ? value * 10 ** -order : value + order * 0.3 * range);
      const at = (values) => values && onto(base.x, model.x, values.map(shift));
      const data = this.same && !this.apart && order > 0 ? null : at(model.y);
      const error = (sign) => model.dy && at(model.y.map((value, index) => (value === null || model.dy[index] === null ? null : value + sign * model.dy[index])));
      const colour = `--member-${one.number}`;
      if (data) series.push({ label: this.same && !this.apart ? "data" : `data ${one.number}`, values: data, low: error(-1), high: error(1), colour: this.same && !this.apart ? "--plot-faint" : colour, kind: "points" });
      if (model.theory) series.push({ label: `fit ${one.number}`, values: at(model.theory), colour, kind: "line", width: 2.2, dash: DASHES[one.number - 1] });
      areas.push(...this.areas(model.bands, at, colour));
    });
    return { ...base, series, areas, yLabel: drawn[0]?.model.y_label || "y", logY: log, height: 380, label: "Data and fits.", summary: this.bandWords(drawn) };
  }

  residualSpec() {
    const drawn = this.drawn().filter((one) => one.model.residuals);
    const base = this.common(drawn);
    const series = drawn.map((one) => ({ label: `residual ${one.number}`, values: onto(base.x, one.model.x, one.model.residuals), colour: `--member-${one.number}`, kind: "points" }));
    // Of each as it was measured: in another view a band would be in other units than its errors.
    const areas = drawn.flatMap((one) => this.areas(bandsOfResiduals(one.models[this.index]), (ends) => onto(base.x, one.model.x, ends), `--member-${one.number}`));
    return { ...base, series, areas, yLabel: "(fit − data) / σ", logY: false, zero: true, height: 210, label: "Residuals." };
  }

  areas(bands, place, colour) {
    return this.banded ? areasOf(mapped(bands, place), colour) : [];
  }

  bandWords(drawn) {
    const who = drawn.filter((one) => one.model.bands).map((one) => one.number);
    return this.banded && who.length ? `Shaded: where 68 % and 95 % of the curves of draws of the parameters lie, of ${who.join(", ")}${who.length < drawn.length ? "; only a fit by dream has them" : ""}.` : "";
  }

  showProfile() {
    this.profile?.close();
    this.profile = null;
    this.profileBox.replaceChildren();
    const drawn = this.drawn().filter((one) => one.model.profile);
    if (!drawn.length) return;
    this.profileBox.append(element("h3", { text: "Profiles" }));
    const x = union(drawn.map((one) => one.model.profile.x));
    const areas = [];
    const series = drawn.map((one) => {
      const { profile } = one.model;
      const [name, values] = Object.entries(profile.series)[0];
      areas.push(...this.areas(profile.bands[name], (ends) => onto(x, profile.x, ends), `--member-${one.number}`));
      return { label: `${name} ${one.number}`, values: onto(x, profile.x, values), colour: `--member-${one.number}`, kind: "line", dash: DASHES[one.number - 1] };
    });
    const { x_label: xLabel, y_label: yLabel } = drawn[0].model.profile;
    this.profile = new Plot(this.profileBox, { x, xLabel, yLabel, series, areas, height: 280, label: "Profiles." });
  }

  say() {
    const drawn = this.drawn();
    if (!drawn.length) {
      this.words.textContent = "No fit is ticked.";
      return;
    }
    const parts = drawn.map((one) => {
      const known = (one.model.residuals || []).filter((value) => value !== null);
      const worst = known.reduce((best, value) => Math.max(best, Math.abs(value)), 0);
      return known.length ? `${one.number}: ${known.filter((value) => Math.abs(value) > 3).length} of ${known.length} points beyond 3 σ, at most ${number(worst, 3)} σ` : `${one.number}: no residuals`;
    });
    const apart = this.apart ? ` Each is shifted ${this.log.y ? "down by a factor of ten" : "up"} from the one before.` : "";
    this.words.textContent = `${parts.join("; ")}.${apart} ${this.bandWords(drawn)}`.trim();
  }
}

function chooser(name, options, does) {
  const select = element("select");
  for (const [text, value] of options) select.append(element("option", { value, text }));
  select.addEventListener("change", () => does(select.value));
  const label = element("label", { text: `${name} ` });
  label.append(select);
  return label;
}

function union(all) {
  return [...new Set(all.flat())].sort((a, b) => a - b);
}

// Values at their places of a longer axis, null between; of two at one place the last stays.
function onto(axis, x, values) {
  const known = new Map(x.map((place, index) => [place, values[index]]));
  return axis.map((place) => known.get(place) ?? null);
}

function spreadOf(drawn) {
  let [low, high] = [Infinity, -Infinity];
  for (const one of drawn) for (const value of one.model.y) if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return high > low ? high - low : 1;
}
