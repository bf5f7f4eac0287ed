// Ways to look at a curve: as measured, times a power of Q, in which its tail is seen, or over
// what the bare substrate would reflect.
const FRESNEL = "fresnel";
const VIEWS = {
  reflectivity: [["R", "0"], ["R · Q⁴", "4"], ["R / R of the bare substrate (Fresnel)", FRESNEL]],
  sas: [["I", "0"], ["I · Q²", "2"], ["I · Q⁴", "4"]],
};
export const BAND = ["low_95", "low_68", "high_68", "high_95"];

export function viewsOf(model) {
  return (VIEWS[model.kind] || []).filter(([, way]) => way !== FRESNEL || model.fresnel);
}

// The model with y, dy, theory and bands in another view; residuals are the same in every one.
export function viewed(model, way) {
  const name = viewsOf(model).find(([, one]) => one === way)?.[0];
  if (!name || way === "0") return model;
  const weight = way === FRESNEL ? (index) => (model.fresnel[index] > 0 ? 1 / model.fresnel[index] : null) : (index) => model.x[index] ** Number(way);
  const times = (values) => values && values.map((value, index) => (value === null || weight(index) === null ? null : value * weight(index)));
  return { ...model, y: times(model.y), dy: times(model.dy), theory: times(model.theory), bands: mapped(model.bands, times), y_label: name };
}

export function mapped(bands, change) {
  return bands && { ...bands, ...Object.fromEntries(BAND.map((end) => [end, change(bands[end])])) };
}

// How far from the fit, in the errors of the data: there a narrow band is seen, too.
export function bandsOfResiduals({ dy, theory, bands }) {
  return mapped(dy && theory && bands, (ends) => ends.map((end, i) => (end === null || theory[i] === null || !(dy[i] > 0) ? null : (end - theory[i]) / dy[i])));
}

// Two areas of a band for a plot, the wider one paler.
export function areasOf(bands, colour) {
  if (!bands) return [];
  return [["95", 0.18], ["68", 0.3]].map(([level, strength]) => ({ low: bands[`low_${level}`], high: bands[`high_${level}`], colour, strength }));
}

const MOST_BYTES = 30e6;

// The numbers of a plot; a file that would stop the browser is left where it is.
export async function getNumbers(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const size = Number(answer.headers.get("Content-Length"));
  if (size > MOST_BYTES) {
    await answer.body?.cancel();
    throw new Error(`its file has ${Math.round(size / 1e6)} MB, and more than ${MOST_BYTES / 1e6} are not drawn`);
  }
  return answer.json();
}

// A document of a job is a stranger's: what is no list of numbers is left out, and lists are of one length.
export function trusted(found) {
  const models = Array.isArray(found?.models) ? found.models : [];
  return models.slice(0, 200).map(model).filter(Boolean);
}

function model(one) {
  const x = numbers(one?.x, Infinity);
  if (!x || !x.length || x.some((value) => value === null)) return null;
  const same = (values) => {
    const read = numbers(values, x.length);
    return read && read.length === x.length ? read : null;
  };
  const y = same(one.y);
  if (!y || y.every((value) => value === null)) return null;
  return {
    label: text(one.label), kind: text(one.kind), x_label: text(one.x_label) || "x", y_label: text(one.y_label) || "y",
    log_x: one.log_x === true, log_y: one.log_y === true,
    x, y, dx: same(one.dx), dy: same(one.dy), theory: same(one.theory), residuals: same(one.residuals), profile: profile(one.profile),
    fresnel: same(one.fresnel), bands: band(one.bands, same),
  };
}

// All four ends, or none.
function band(one, same) {
  const ends = BAND.map((end) => [end, same(one?.[end])]);
  if (!ends.every(([, values]) => values)) return null;
  return { draws: Number.isInteger(one.draws) ? one.draws : null, ...Object.fromEntries(ends) };
}

function profile(one) {
  const x = numbers(one?.x, Infinity);
  if (!x || x.length < 2 || x.some((value) => value === null) || !one.series || typeof one.series !== "object") return null;
  const same = (values) => {
    const read = numbers(values, x.length);
    return read && read.length === x.length ? read : null;
  };
  const series = {};
  const bands = {};
  for (const [name, values] of Object.entries(one.series).slice(0, 12)) {
    const read = same(values);
    if (!read) continue;
    series[text(name)] = read;
    bands[text(name)] = band(one.bands?.[name], same);
  }
  return Object.keys(series).length ? { x, series, bands, x_label: text(one.x_label), y_label: text(one.y_label) } : null;
}

function numbers(values, most) {
  if (!Array.isArray(values) || values.length > Math.min(most, 1e6)) return null;
  return values.map((value) => (typeof value === "number" && Number.isFinite(value) ? value : null));
}

function text(value) {
  return typeof value === "string" ? value.slice(0, 200) : "";
}
