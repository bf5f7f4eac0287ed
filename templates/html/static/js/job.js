// One job: its state as it changes, its plots, its log, its buttons.
import { Live } from "./page.js";
import { prepareButtons, reveal } from "./buttons.js";
import { drawAll } from "./results.js";
import { LogView } from "./log.js";
import { Follower } from "./follow.js";

const place = document.getElementById("job");
const job = { id: place.dataset.id, api: place.dataset.api, page: `/jobs/${place.dataset.id}`, attempt: place.dataset.attempt };
let follower = null;
document.documentElement.classList.add("with-scripts");

function onChange(part) {
  reveal(part);
  if (part.dataset.live === "results") drawAll(part);
  if (part.dataset.live === "follow") follow(part);
}

function follow(part) {
  follower?.close();
  follower = part.hidden ? null : new Follower(job, part, () => live.refresh());
}

const live = new Live(3000, onChange);
prepareButtons();
reveal(document);
drawAll(document);
follow(document.querySelector('[data-live="follow"]'));
new LogView(job, document.getElementById("log"), () => live.isOn());
