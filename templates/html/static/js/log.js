// The log: follows its end, shows control signs as signs, finds words.
import { element, getJson } from "./page.js";

const EVERY_MS = 2000;
const KEPT = 400_000;

// The same as plain_log of the server: what a program printed must not steer anything.
export function plainLog(text) {
  return text
    .replace(/\x1b\[[0-9;:]*m/g, "")
    .split("\n")
    .map(lastForm)
    .join("\n")
    .replace(/[\x00-\x08\x0b-\x1f]/g, (sign) => "^" + String.fromCharCode(64 + sign.charCodeAt(0)))
    .replace(/\x7f/g, "^?")
    .replace(/[\x80-\x9f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

// What was written over the rest of a line. No regular expression: on a long line those take seconds.
function lastForm(line) {
  let end = line.length;
  while (end && line[end - 1] === "\r") end -= 1;
  const kept = line.slice(0, end);
  return kept.slice(kept.lastIndexOf("\r") + 1);
}

export class LogView {
  constructor(job, place, isLive) {
    Object.assign(this, { job, place, isLive });
    this.text = place.querySelector("#log-text");
    this.size = place.querySelector("#log-size");
    this.follow = place.querySelector("#log-follow");
    this.find = place.querySelector("#log-find");
    this.found = place.querySelector("#log-found");
    this.content = this.text.textContent;
    this.end = Number(place.dataset.end);
    this.ended = place.dataset.live !== "yes";
    place.querySelector("#log-wrap").addEventListener("change", (event) => this.text.classList.toggle("unwrapped", !event.target.checked));
    this.find.addEventListener("input", () => this.show());
    this.find.addEventListener("keydown", (event) => this.next(event));
    this.follow.addEventListener("change", () => this.toEnd());
    this.text.addEventListener("scroll", () => this.scrolled());
    place.querySelector("#log-stream").addEventListener("change", (event) => event.target.form.requestSubmit());
    document.addEventListener("visibilitychange", () => this.ask());
    if (!new URLSearchParams(location.search).has("offset")) {
      this.toEnd();
      this.plan();
    }
  }

  plan() {
    if (!this.ended) setTimeout(() => this.ask(), EVERY_MS);
  }

  async ask() {
    if (document.hidden || this.asking) return;
    this.asking = true;
    const live = this.isLive();
    try {
      await this.read();
      // One more look after the end: what came last is there by then.
      this.ended = !live;
      if (this.ended && !this.end) this.size.textContent = "Nothing printed.";
    } catch {
      this.ended = false;
    } finally {
      this.asking = false;
    }
    this.plan();
  }

  async read() {
    const { stream, task, attempt } = this.place.dataset;
    const query = new URLSearchParams({ stream, task, attempt, offset: this.end, limit: 200_000 });
    const part = await getJson(`${this.job.api}/log?${query}`);
    if (!part.text) return;
    this.end = part.next_offset;
    this.content = (this.content + plainLog(part.text)).slice(-KEPT);
    this.size.textContent = `Up to byte ${part.next_offset} of ${part.size}`;
    this.show();
    this.toEnd();
  }

  // Search hits become marks; everything goes in as text.
  show() {
    const words = this.find.value;
    if (!words) {
      this.text.textContent = this.content;
      this.found.textContent = "";
      return;
    }
    const pieces = this.content.split(new RegExp(`(${words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`, "i"));
    const nodes = pieces.slice(0, 4001).map((piece, index) => (index % 2 ? element("mark", { text: piece }) : piece));
    this.text.replaceChildren(...nodes, pieces.slice(4001).join(""));
    const count = (pieces.length - 1) / 2;
    this.found.textContent = count === 1 ? "found once" : `found ${count} times`;
    if (count) this.follow.checked = false;
    this.text.querySelector("mark")?.scrollIntoView({ block: "nearest" });
    this.at = 0;
  }

  next(event) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const marks = this.text.querySelectorAll("mark");
    if (!marks.length) return;
    this.at = (this.at + (event.shiftKey ? marks.length - 1 : 1)) % marks.length;
    marks[this.at].scrollIntoView({ block: "nearest" });
    this.found.textContent = `${this.at + 1} of ${marks.length}`;
  }

  toEnd() {
    if (this.follow.checked) this.text.scrollTop = this.text.scrollHeight;
  }

  // Who scrolls up wants to read; who scrolls to the end wants to follow.
  scrolled() {
    this.follow.checked = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 30;
  }
}
