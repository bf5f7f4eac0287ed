// Data, fit and residuals of each model, and a profile where there is one.
import { element, number } from "./page.js";
import { Plot, toolbar } from "./plot.js";
import { areasOf, bandsOfResiduals, trusted, viewed, viewsOf } from "./views.js";

const ANGLE = "thetaM";
const PROFILE_COLOURS = ["--plot-data", "--plot-fit", "--plot-third", "--plot-faint"];

export function drawCurves(place, found) {
  const models = trusted(found);
  if (!models.length) {
    place.append(element("p", { class: "faint", text: "This problem has no curve that could be drawn." }));
    return;
  }
  const choice = models.length > 1 ? chooser(models) : null;
  const box = element("div");
  let drawn = null;
  const show = (index) => {
    drawn?.close();
    box.replaceChildren();
    drawn = new CurvePlots(box, models[index]);
  };
  if (choice) {
    place.append(choice.label);
    choice.select.addEventListener("change", () => show(Number(choice.select.value)));
  }
  place.append(box);
  show(0);
}

function chooser(models) {
  const select = element("select");
  models.forEach((model, index) => select.append(element("option", { value: index, text: model.label || `model ${index + 1}` })));
  const label = element("label", { class: "plot-tools", text: "Model " });
  label.append(select);
  return { select, label };
}

class CurvePlots {
  constructor(box, model) {
    this.whole = this.model = model;
    this.log = { x: Boolean(model.log_x), y: Boolean(model.log_y) };
    const together = (part, source) => this.all.filter((plot) => plot !== source).forEach((plot) => plot.showWindow(part));
    this.all = [];
    this.profiles = [];
    this.banded = Boolean(model.bands);
    this.tools = element("div");
    box.append(this.tools, element("p", { class: "faint", text: summary(model) }));
    if (model.bands) box.append(element("p", { class: "faint", text: bandWords(model) }));
    this.main = new Plot(box, this.mainSpec(), (part, source) => together(part, source));
    this.all.push(this.main);
    if (model.residuals) {
      this.residuals = new Plot(box, this.residualSpec(), (part, source) => together(part, source));
      this.all.push(this.residuals);
    }
    const toggles = [["Log x", this.log.x, (on) => this.setLog("x", on)], ["Log y", this.log.y, (on) => this.setLog("y", on)]];
    if (model.bands) toggles.push(["Bands", true, (on) => this.setBands(on)]);
    toolbar(this.tools, () => this.all, toggles);
    if (viewsOf(model).length) this.tools.prepend(this.views());
    if (model.profile) this.drawProfile(box, model.profile);
  }

  // The tail of a reflectivity is seen in R·Q⁴, that of a scattering in I·Q² or I·Q⁴.
  views() {
    const select = element("select", { "data-views": true });
    for (const [name, power] of viewsOf(this.whole)) select.append(element("option", { value: power, text: name }));
    select.addEventListener("change", () => {
      this.model = viewed(this.whole, select.value);
      this.main.set(this.mainSpec());
    });
    const label = element("label", { class: "plot-tools", text: "Show " });
    label.append(select);
    return label;
  }

  setLog(axis, on) {
    this.log[axis] = on;
    for (const plot of this.all) plot.window = axis === "x" ? null : plot.window;
    this.again();
  }

  setBands(on) {
    this.banded = on;
    this.again();
    for (const [part, plot] of this.profiles) plot.set(this.profileSpec(part));
  }

  again() {
    this.main.set(this.mainSpec());
    this.residuals?.set(this.residualSpec());
  }

  mainSpec() {
    const { x, y, dy, theory } = this.model;
    const series = [{ label: "data", values: y, colour: "--plot-data", kind: "points", ...bars(y, dy) }];
    if (theory) series.push({ label: "fit", values: theory, colour: "--plot-fit", kind: "line", width: 2.5 });
    return { ...this.common(), x, series, areas: this.areas(this.model.bands, "--plot-fit"), yLabel: this.model.y_label, logY: this.log.y, height: 340, label: "Data and fit.", summary: this.banded ? bandWords(this.model) : "" };
  }

  residualSpec() {
    const { x, residuals } = this.whole;
    const series = [{ label: "residual", values: residuals, colour: "--plot-data", kind: "points" }];
    return { ...this.common(), xLow: null, xHigh: null, x, series, areas: this.areas(bandsOfResiduals(this.whole), "--plot-fit"), yLabel: "(fit − data) / σ", logY: false, zero: true, height: 190, label: "Residuals." };
  }

  common() {
    const { x, dx } = this.model;
    return { xLabel: this.model.x_label, logX: this.log.x, ...(dx ? { xLow: x.map((value, i) => value - dx[i]), xHigh: x.map((value, i) => value + dx[i]) } : {}) };
  }

  areas(bands, colour) {
    return this.banded ? areasOf(bands, colour) : [];
  }

  drawProfile(box, profile) {
    box.append(element("h3", { text: "Profile" }));
    this.profiles = profileParts(profile).map((part) => [part, new Plot(box, this.profileSpec(part))]);
  }

  profileSpec({ names, yLabel, label, height }) {
    const { profile } = this.whole;
    const series = names.map((name) => [name, profile.series[name]]).map(([label, values], index) => ({ label, values, colour: PROFILE_COLOURS[index % 4], kind: "line", dash: index ? [8, 2 + 3 * index] : undefined }));
    const areas = series.flatMap((one) => this.areas(profile.bands[one.label], one.colour));
    return { x: profile.x, xLabel: profile.x_label, yLabel, series, areas, height, label };
  }

  close() {
    for (const plot of this.all) plot.close();
    for (const [, plot] of this.profiles) plot.close();
  }
}

function bars(y, dy) {
  return dy ? { low: y.map((value, i) => value - dy[i]), high: y.map((value, i) => value + dy[i]) } : {};
}

function bandWords({ bands, profile }) {
  const draws = bands.draws === null ? "draws of the parameters" : `${bands.draws} draws of the parameters`;
  return `Shaded: where 68 % and 95 % of the curves of ${draws} lie${profile ? ", and of their profiles, depth counted from the substrate" : ""}.`;
}

// An angle of the magnetisation has an axis of its own: beside degrees, densities would be flat.
function profileParts(profile) {
  const all = Object.keys(profile.series);
  // Neutrons are seldom absorbed: a line of zeros, its colour and its name tell nothing.
  const some = all.filter((name) => profile.series[name].some(Boolean));
  const names = some.length ? some : all;
  const parts = [{ names: names.filter((name) => name !== ANGLE), yLabel: profile.y_label, label: "Profile.", height: 260 },
    { names: names.filter((name) => name === ANGLE), yLabel: "thetaM (°)", label: "Angle of the magnetisation.", height: 170 }];
  return parts.filter((part) => part.names.length);
}

// What the plots say, in words.
function summary(model) {
  const count = `${model.x.length} points`;
  if (!model.residuals) return `${count}.`;
  const known = model.residuals.filter((value) => Number.isFinite(value));
  if (!known.length) return `${count}; no residual can be computed.`;
  const far = known.filter((value) => Math.abs(value) > 3).length;
  const worst = known.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
  const at = model.x[model.residuals.indexOf(worst)];
  return `${count}; ${far === 0 ? "none" : far} of them more than 3 σ from the fit. The largest residual is ${number(worst, 3)} σ at ${number(at, 4)}.`;
}
