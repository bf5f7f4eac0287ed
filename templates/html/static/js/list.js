// The list of jobs keeps itself up to date while something is live, and what was chosen stays so.
import { Live } from "./page.js";
import { reveal } from "./buttons.js";

const chosen = new Set();
const all = document.getElementById("choose-all");
const found = document.getElementById("choose-found");
const picks = () => [...document.querySelectorAll(".pick input")];

function tell() {
  const shown = picks();
  for (const pick of shown) pick.checked = chosen.has(pick.value);
  const count = shown.filter((pick) => pick.checked).length;
  all.checked = count > 0 && count === shown.length;
  all.indeterminate = count > 0 && count < shown.length;
  document.getElementById("bulk").classList.toggle("some", count > 0 || found?.checked);
  document.getElementById("chosen").textContent = found?.checked ? "" : count === 1 ? "1 chosen" : `${count} chosen`;
}

// A row that left the page is not chosen any more: nobody sees that it would be meant.
function redrawn() {
  const there = new Set(picks().map((pick) => pick.value));
  for (const id of chosen) if (!there.has(id)) chosen.delete(id);
  tell();
}

if (all) {
  reveal(document);
  for (const pick of picks()) if (pick.checked) chosen.add(pick.value);
  document.addEventListener("change", (event) => {
    const pick = event.target;
    if (pick === all) for (const one of picks()) one.checked = all.checked;
    if (pick !== all && pick !== found && !pick.matches(".pick input")) return;
    chosen.clear();
    for (const one of picks()) if (one.checked) chosen.add(one.value);
    tell();
  });
  tell();
}
new Live(2500, () => all && redrawn());
