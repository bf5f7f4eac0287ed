// One job: its state as it changes, its plots, its log, its buttons.
import { Live } from "./page.js";
import { prepareButtons, reveal } from "./buttons.js";
import { drawAll } from "./results.js";
import { LogView } from "./log.js";
import { Follower } from "./follow.js";
import { ElementGrid } from "./elements.js";
import { Desktop } from "./desktop.js";

const place = document.getElementById("job");
const job = { id: place.dataset.id, api: place.dataset.api, page: `/jobs/${place.dataset.id}`, attempt: place.dataset.attempt };
let follower = null;
let grid = null;
document.documentElement.classList.add("with-scripts");

function onChange(part) {
  reveal(part);
  if (part.dataset.live === "results") drawAll(part);
  if (part.dataset.live === "status") desktop.changed(part);
  if (part.dataset.live === "follow") follow(part);
  if (part.dataset.live === "elements") showElements(part);
}

function follow(part) {
  follower?.close();
  follower = part.hidden ? null : new Follower(job, part, () => live.refresh());
}

// A grid that came anew because no events reach this page is left to come anew.
function showElements(part) {
  if (!part || part.hidden) {
    grid?.close();
    grid = null;
  } else if (!grid) {
    grid = new ElementGrid(job, part, () => live.refresh());
  }
}

const live = new Live(3000, onChange);
const desktop = new Desktop(live, document.getElementById("tell"), job.id);
prepareButtons();
reveal(document);
drawAll(document);
follow(document.querySelector('[data-live="follow"]'));
showElements(document.querySelector('[data-live="elements"]'));
new LogView(job, document.getElementById("log"), () => live.isOn());
