// Ways to look at a curve: as measured, or times a power of Q, in which its tail is seen.
const VIEWS = {
  reflectivity: [["R", 0], ["R · Q⁴", 4]],
  sas: [["I", 0], ["I · Q²", 2], ["I · Q⁴", 4]],
};

export function viewsOf(model) {
  return VIEWS[model.kind] || [];
}

// The model with y, dy and theory times x to the power; residuals are the same in every view.
export function viewed(model, power) {
  if (!power) return model;
  const name = viewsOf(model).find(([, one]) => one === power)?.[0] || "";
  const times = (values) => values && values.map((value, index) => (value === null ? null : value * model.x[index] ** power));
  return { ...model, y: times(model.y), dy: times(model.dy), theory: times(model.theory), y_label: name };
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
  };
}

function profile(one) {
  const x = numbers(one?.x, Infinity);
  if (!x || x.length < 2 || x.some((value) => value === null) || !one.series || typeof one.series !== "object") return null;
  const series = {};
  for (const [name, values] of Object.entries(one.series).slice(0, 12)) {
    const read = numbers(values, x.length);
    if (read && read.length === x.length) series[text(name)] = read;
  }
  return Object.keys(series).length ? { x, series, x_label: text(one.x_label), y_label: text(one.y_label) } : null;
}

function numbers(values, most) {
  if (!Array.isArray(values) || values.length > Math.min(most, 1e6)) return null;
  return values.map((value) => (typeof value === "number" && Number.isFinite(value) ? value : null));
}

function text(value) {
  return typeof value === "string" ? value.slice(0, 200) : "";
}
