// Sliders over the bounds of parameters: they write into the field of the start value, which counts.
import { number } from "./page.js";

const STEPS = 1000;
const DECADES = 1000;
const DIGITS = 5;

export function prepareSliders(form, setField) {
  form.addEventListener("input", (event) => {
    const slider = event.target;
    if (slider.dataset?.slides) {
      const text = valueAt(form, slider);
      slider.setAttribute("aria-valuetext", text);
      setField(`${slider.dataset.slides}value`, text);
    } else if (/^p\.\d+\./.test(slider.name ?? "")) {
      placeSliders(form);
    }
  });
  placeSliders(form);
}

// Where a start value lies between its bounds; a parameter that is open or not fitted has no slider.
export function placeSliders(form) {
  for (const slider of form.querySelectorAll("[data-slides]")) {
    const bounds = read(form, slider);
    slider.hidden = !bounds;
    if (!bounds || slider === document.activeElement) continue;
    const text = form.elements.namedItem(`${slider.dataset.slides}value`).value;
    slider.value = String(Math.round(STEPS * share(Number(text), bounds)));
    slider.setAttribute("aria-valuetext", text);
  }
}

function read(form, slider) {
  const field = (name) => form.elements.namedItem(slider.dataset.slides + name);
  const [low, high] = ["low", "high"].map((name) => (field(name).value.trim() ? Number(field(name).value) : NaN));
  if (!(low < high) || !Number.isFinite(high - low) || field("role").value !== "fit") return null;
  // Over many decades each has its part of the way.
  return { low, high, log: low > 0 && high / low >= DECADES };
}

function share(value, { low, high, log }) {
  const part = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.min(1, Math.max(0, part || 0));
}

function valueAt(form, slider) {
  const { low, high, log } = read(form, slider);
  const part = Number(slider.value) / STEPS;
  // The ends are the bounds themselves: rounded, they could lie outside.
  if (part <= 0 || part >= 1) return String(part <= 0 ? low : high);
  return number(log ? low * (high / low) ** part : low + (high - low) * part, DIGITS);
}
