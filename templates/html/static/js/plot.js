// One plot: points with error bars and lines on axes that zoom by mouse, key and button.
// A thin layer over uPlot; texts reach the page as text, colours come from the stylesheet.
import { element, number } from "./page.js";
import { isHere, library } from "./plot-library.js";

const LEGEND_PX = 30;
const KEYS = "Keys: plus and minus zoom, left and right move, 0 shows all.";

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// spec: {x, xLabel, yLabel, height, logX, logY, series: [{label, values, colour, kind, low, high, dash}],
//        xLow, xHigh, zero, bands, areas, label}; bands are [upper, lower, colour] with places in series; kind is "points", "line" or "steps"; low and high are ends of error bars;
//        areas are [{low, high, colour, strength}], behind all else.
export class Plot {
  constructor(host, spec, onZoom = null) {
    this.host = element("div", { class: "plot", tabindex: "0", role: "group", "aria-roledescription": "plot" });
    host.append(this.host);
    this.onZoom = onZoom;
    this.window = null;
    this.host.addEventListener("keydown", (event) => this.pressed(event));
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.host);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => this.make();
    this.scheme.addEventListener("change", this.recolour);
    this.set(spec);
  }

  set(spec) {
    const order = sorted(spec.x);
    this.spec = order ? reordered(spec, order) : spec;
    this.make();
  }

  make() {
    const { spec } = this;
    // uPlot places points by x in order; a log axis has no place for what is not positive.
    const kept = spec.logX ? spec.x.map((value, index) => (value > 0 ? index : -1)).filter((index) => index >= 0) : null;
    const pick = (values) => (kept && values ? kept.map((index) => values[index]) : values);
    this.shown = { ...spec, x: pick(spec.x), xLow: pick(spec.xLow), xHigh: pick(spec.xHigh),
      series: spec.series.map((one) => ({ ...one, values: pick(one.values), low: pick(one.low), high: pick(one.high) })),
      areas: (spec.areas || []).map((one) => ({ ...one, low: pick(one.low), high: pick(one.high) })) };
    this.describe();
    if (isHere) this.build();
    else this.buildLater();
  }

  // Its place is kept, so that nothing below moves when it comes.
  buildLater() {
    this.host.style.minHeight = `${(this.spec.height || 320) + LEGEND_PX}px`;
    this.coming ??= library().then(
      () => this.closed || this.build(),
      (error) => this.host.replaceChildren(element("p", { class: "note", text: `This plot cannot be drawn (${error.message}).` })),
    );
  }

  build() {
    const { spec, shown } = this;
    this.uplot?.destroy();
    this.host.style.minHeight = "";
    const width = Math.max(200, this.host.clientWidth || 600);
    const usable = (values) => (spec.logY ? values.map((value) => (value > 0 ? value : null)) : values);
    this.uplot = new window.uPlot(this.options(width), [shown.x, ...shown.series.map((one) => usable(one.values))], this.host);
    if (this.window) this.uplot.setScale("x", this.window);
  }

  options(width) {
    const { spec, shown } = this;
    const ink = colour("--faint");
    const axis = { stroke: ink, grid: { stroke: colour("--plot-grid"), width: 1 }, ticks: { stroke: colour("--plot-grid"), width: 1 }, font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif", labelSize: 22 };
    return {
      width,
      height: spec.height || 320,
      padding: [10, 12, 0, 0],
      focus: { alpha: 1 },
      cursor: { drag: { x: true, y: false, setScale: true }, points: { size: 7 }, y: false },
      legend: { live: true },
      scales: {
        x: { time: false, distr: spec.logX ? 3 : 1, range: (_, low, high) => this.xRange(low, high) },
        y: { distr: spec.logY ? 3 : 1, range: (u) => this.yRange(u) },
      },
      axes: [
        { ...axis, label: spec.xLabel, values: spec.logX ? logTicks : ticks, ...(spec.logX ? { splits: logPlaces } : {}), space: 60, size: 34 },
        { ...axis, label: spec.yLabel, values: spec.logY ? logTicks : ticks, ...(spec.logY ? { splits: logPlaces } : {}), size: (u, values) => 20 + 7.5 * Math.max(5, ...(values || []).map((text) => String(text ?? "").length)) },
      ],
      bands: (shown.bands || []).map(([upper, lower, name]) => ({ series: [upper + 1, lower + 1], fill: colour(name) + "2e" })),
      series: [{ label: spec.xLabel || "x", value: (_, value) => number(value) }, ...shown.series.map((one) => this.seriesOptions(one))],
      hooks: { drawSeries: [(u, index) => index > 0 && this.drawBars(u, shown.series[index - 1])], setScale: [(u, key) => key === "x" && this.zoomed(u)], drawAxes: [(u) => this.drawBehind(u)] },
    };
  }

  seriesOptions(one) {
    const stroke = colour(one.colour);
    const points = one.kind === "points";
    return {
      label: one.label,
      scale: "y",
      stroke,
      width: points ? 0 : one.width || 2,
      dash: one.dash,
      paths: points ? () => null : one.kind === "steps" ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: points, size: one.values.length > 400 ? 3 : 7, stroke, fill: stroke },
      value: (_, value) => number(value),
      spanGaps: true,
    };
  }

  // uPlot asks this of every part of the axis, chosen or whole; only the whole gets some room.
  xRange(low, high) {
    const { x } = this.shown;
    return low === null || (low <= x[0] && high >= x.at(-1)) ? this.extent() : [low, high];
  }

  yRange(u) {
    let low = Infinity;
    let high = -Infinity;
    const { x, series, areas } = this.shown;
    const { logY } = this.spec;
    const [first, last] = u.series[0].idxs || [0, x.length - 1];
    for (const one of [...series, ...areas]) {
      for (let i = first ?? 0; i <= (last ?? x.length - 1); i += 1) {
        for (const value of [one.values?.[i], one.low?.[i], one.high?.[i]]) {
          if (value === null || value === undefined || !Number.isFinite(value) || (logY && value <= 0)) continue;
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      }
    }
    if (low > high) return logY ? [0.1, 10] : [0, 1];
    if (this.spec.zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
    return padded(low, high, logY, 0.06);
  }

  drawBars(u, one) {
    const { x, xLow, xHigh } = this.shown;
    if (!one.low && !(xLow && one.kind === "points")) return;
    const { ctx } = u;
    const clipped = (value, scale) => u.valToPos(this.spec[scale === "y" ? "logY" : "logX"] && value <= 0 ? u.scales[scale].min : value, scale, true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    ctx.strokeStyle = colour(one.colour);
    ctx.globalAlpha = 0.65;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    for (let i = 0; i < x.length; i += 1) {
      const value = one.values[i];
      if (value === null || x[i] < u.scales.x.min || x[i] > u.scales.x.max) continue;
      if (this.spec.logY && value <= 0) continue;
      const cx = Math.round(u.valToPos(x[i], "x", true));
      if (one.low && Number.isFinite(one.low[i])) {
        ctx.moveTo(cx, clipped(one.low[i], "y"));
        ctx.lineTo(cx, clipped(one.high[i], "y"));
      }
      if (xLow && one.kind === "points" && Number.isFinite(xLow[i])) {
        const cy = u.valToPos(value, "y", true);
        ctx.moveTo(clipped(xLow[i], "x"), cy);
        ctx.lineTo(clipped(xHigh[i], "x"), cy);
      }
    }
    ctx.stroke();
    ctx.restore();
  }

  drawBehind(u) {
    for (const area of this.shown.areas) this.drawArea(u, area);
    if (this.spec.zero) this.drawZero(u);
  }

  drawArea(u, { low, high, colour: name, strength }) {
    const { x } = this.shown;
    const known = x.map((_, i) => i).filter((i) => Number.isFinite(low[i]) && Number.isFinite(high[i]) && !(this.spec.logY && high[i] <= 0));
    const place = (value) => u.valToPos(this.spec.logY && value <= 0 ? u.scales.y.min : value, "y", true);
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    u.ctx.clip();
    u.ctx.fillStyle = colour(name);
    u.ctx.globalAlpha = strength;
    u.ctx.beginPath();
    for (const i of known) u.ctx.lineTo(u.valToPos(x[i], "x", true), place(high[i]));
    for (const i of known.reverse()) u.ctx.lineTo(u.valToPos(x[i], "x", true), place(low[i]));
    u.ctx.fill();
    u.ctx.restore();
  }

  drawZero(u) {
    const y = u.valToPos(0, "y", true);
    u.ctx.save();
    u.ctx.strokeStyle = colour("--plot-faint");
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.restore();
  }

  describe() {
    const { spec, shown } = this;
    const names = spec.series.map((one) => one.label).join(", ");
    const ends = shown.x.length ? ` ${shown.x.length} points, ${spec.xLabel || "x"} from ${number(shown.x[0], 4)} to ${number(shown.x.at(-1), 4)}.` : "";
    this.host.setAttribute("aria-label", `${spec.label || ""} ${names} over ${spec.xLabel || "x"}.${ends} ${spec.summary || ""} ${KEYS}`.trim());
  }

  zoomed(u) {
    const { min, max } = u.scales.x;
    if (min === null || u !== this.uplot) return;
    const [low, high] = this.extent();
    this.window = min > low || max < high ? { min, max } : null;
    if (!this.follows(min, max)) this.onZoom?.({ min, max }, this);
    this.told = { min, max };
  }

  extent() {
    const { x } = this.shown;
    return padded(x[0] ?? null, x.at(-1) ?? null, this.spec.logX, 0.02);
  }

  // Take over another plot's part of the axis.
  showWindow(part) {
    if (!this.uplot) return;
    const { min, max } = this.uplot.scales.x;
    if (min === part.min && max === part.max) return;
    this.told = part;
    this.uplot.setScale("x", { ...part });
  }

  follows(min, max) {
    return this.told?.min === min && this.told?.max === max;
  }

  zoom(factor, shift = 0) {
    if (!this.uplot) return;
    const log = this.spec.logX;
    const to = log ? Math.log10 : (value) => value;
    const back = log ? (value) => 10 ** value : (value) => value;
    const { min, max } = this.uplot.scales.x;
    const middle = (to(min) + to(max)) / 2;
    const half = ((to(max) - to(min)) / 2) * factor;
    const move = shift * 2 * half;
    const [low, high] = this.extent();
    this.uplot.setScale("x", { min: Math.max(low, back(middle - half + move)), max: Math.min(high, back(middle + half + move)) });
  }

  reset() {
    const [min, max] = this.extent();
    this.uplot?.setScale("x", { min, max });
  }

  pressed(event) {
    const actions = { "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1 / 0.6), ArrowLeft: () => this.zoom(1, -0.2), ArrowRight: () => this.zoom(1, 0.2), 0: () => this.reset(), Home: () => this.reset() };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey || event.target !== this.host) return;
    event.preventDefault();
    actions[event.key]();
  }

  resize() {
    const width = this.host.clientWidth;
    if (this.uplot && width && Math.abs(width - this.uplot.width) > 1) this.uplot.setSize({ width, height: this.uplot.height });
  }

  close() {
    this.closed = true;
    this.sizes.disconnect();
    this.scheme.removeEventListener("change", this.recolour);
    this.uplot?.destroy();
    this.host.remove();
  }
}

function padded(low, high, log, part) {
  if (low === null || high === null) return log ? [0.1, 10] : [0, 1];
  if (log) {
    const [from, to] = [Math.log10(low), Math.log10(high)];
    const room = Math.max((to - from) * part, from === to ? 0.5 : 0);
    return [10 ** (from - room), 10 ** (to + room)];
  }
  const room = (high - low) * part || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

// Short ticks with as many digits as their distance needs.
function ticks(_, values) {
  if (values.length < 2) return values.map((value) => number(value, 4));
  const step = Math.abs(values[1] - values[0]);
  const largest = Math.max(...values.map(Math.abs));
  if (largest >= 1e5 || largest < 1e-3) return values.map((value) => (value === 0 ? "0" : number(value, 1 + Math.max(1, Math.ceil(Math.log10(largest / step))))));
  let digits = Math.max(0, Math.min(8, -Math.floor(Math.log10(step) + 1e-9)));
  if (Math.abs(step - Number(step.toFixed(digits))) > 1e-9 * step) digits += 1;
  return values.map((value) => value.toFixed(digits));
}

const HIGH = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"];

// uPlot counts up from the lowest value that is shown: above 10 its ticks are at none of 10, 20, 100.
export function logPlaces(_, __, low, high) {
  const found = [];
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const digits = last - first > 12 ? [1] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const every = Math.max(1, Math.ceil((last - first) / 40));
  for (let power = first; power <= last; power += every) {
    for (const digit of digits) {
      const value = Number(`${digit}e${power}`);
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

function logTicks(u, values) {
  const wide = values.filter((value) => value !== null && Math.abs(Math.log10(value) % 1) < 1e-9).length >= 3;
  return values.map((value) => {
    if (value === null) return null;
    const power = Math.round(Math.log10(value));
    const whole = Math.abs(Math.log10(value) - power) < 1e-9;
    if (!whole && wide) return null;
    if (!whole) return value >= 1 && value < 1e5 ? String(value) : number(value, 2);
    if (power >= -2 && power <= 3) return number(value, 4);
    return "10" + (power < 0 ? "⁻" : "") + [...String(Math.abs(power))].map((digit) => HIGH[digit]).join("");
  });
}

function sorted(x) {
  for (let i = 1; i < x.length; i += 1) if (x[i] < x[i - 1]) return x.map((_, index) => index).sort((a, b) => x[a] - x[b]);
  return null;
}

function reordered(spec, order) {
  const by = (values) => values && order.map((index) => values[index]);
  return { ...spec, x: by(spec.x), xLow: by(spec.xLow), xHigh: by(spec.xHigh), series: spec.series.map((one) => ({ ...one, values: by(one.values), low: by(one.low), high: by(one.high) })),
    areas: spec.areas?.map((one) => ({ ...one, low: by(one.low), high: by(one.high) })) };
}

// A row of buttons over a plot.
export function toolbar(host, plots, toggles = []) {
  const row = element("div", { class: "plot-tools", role: "toolbar", "aria-label": "Plot" });
  const button = (text, does, attributes = {}) => {
    const node = element("button", { type: "button", class: "quiet", text, ...attributes });
    node.addEventListener("click", does);
    row.append(node);
    return node;
  };
  button("Zoom in", () => plots()[0].zoom(0.6));
  button("Zoom out", () => plots()[0].zoom(1 / 0.6));
  button("Show all", () => plots()[0].reset());
  for (const [text, state, change] of toggles) {
    const node = button(text, () => {
      const on = node.getAttribute("aria-pressed") !== "true";
      node.setAttribute("aria-pressed", String(on));
      change(on);
    }, { "aria-pressed": String(state) });
  }
  host.prepend(row);
  return row;
}
