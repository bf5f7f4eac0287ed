// The log: follows its end, goes back to its beginning, finds words. The server writes the lines, so
// that there is one place only that says what a program's output may do: nothing.
import { element } from "./page.js";

const EVERY_MS = 2000;
const KEPT_LINES = 8_000;
const BACK = 65_536;

export class LogView {
  constructor(job, place, isLive) {
    Object.assign(this, { job, place, isLive, plain: new Map(), at: -1 });
    const find = (id) => place.querySelector(`#log-${id}`);
    this.text = find("text");
    this.size = find("size");
    this.follow = find("follow");
    this.find = find("find");
    this.found = find("found");
    this.start = Number(place.dataset.start);
    this.end = Number(place.dataset.end);
    this.ended = place.dataset.live !== "yes";
    this.beginsAt(this.text.children, this.start);
    this.linkBack();
    find("wrap").addEventListener("change", (event) => this.text.classList.toggle("unwrapped", !event.target.checked));
    find("times").addEventListener("change", (event) => this.text.classList.toggle("timed", event.target.checked));
    find("pause")?.addEventListener("click", (event) => this.pause(event.target));
    this.find.addEventListener("input", () => this.search());
    this.find.addEventListener("keydown", (event) => this.next(event));
    this.follow.addEventListener("change", () => this.toEnd());
    this.text.addEventListener("scroll", () => this.scrolled());
    find("stream").addEventListener("change", (event) => event.target.form.requestSubmit());
    if (new URLSearchParams(location.search).has("offset")) this.ended = true;
    document.addEventListener("visibilitychange", () => this.ask());
    if (!this.ended || place.dataset.live !== "yes") this.toEnd();
    if (this.find.value) this.search();
    this.plan();
  }

  plan() {
    clearTimeout(this.timer);
    if (!this.ended && !this.paused) this.timer = setTimeout(() => this.ask(), EVERY_MS);
  }

  pause(button) {
    this.paused = !this.paused;
    button.setAttribute("aria-pressed", String(this.paused));
    button.textContent = this.paused ? "Go on" : "Pause";
    this.ask();
  }

  async ask() {
    if (document.hidden || this.asking || this.paused || this.ended) return;
    this.asking = true;
    const live = this.isLive();
    try {
      while (!this.paused && (await this.read()));
      // One more look after the end: what came last is there by then.
      this.ended = !live;
      if (this.ended && !this.text.childElementCount) this.size.textContent = "Nothing printed.";
    } catch {
      this.ended = false;
    } finally {
      this.asking = false;
    }
    this.plan();
  }

  async part(query) {
    const { stream, task, attempt } = this.place.dataset;
    const address = `${this.job.page}?${new URLSearchParams({ part: "log", stream, task, attempt, ...query })}`;
    const answer = await fetch(address, { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const part = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-log]");
    if (!part) throw new Error("no part of a log");
    return { ...part.dataset, lines: [...part.querySelectorAll(".line")].map((line) => document.importNode(line, true)) };
  }

  // Answers whether there is more to read at once.
  async read() {
    const part = await this.part({ offset: this.end });
    if (!part.lines.length) return false;
    this.text.querySelector(".line.partial")?.remove();
    this.end = Number(part.end);
    this.beginsAt(part.lines, part.start);
    this.text.append(...part.lines);
    if (this.follow.checked) this.dropSurplus();
    this.size.textContent = `Up to byte ${part.end} of ${part.size}`;
    this.mark(part.lines);
    this.toEnd();
    return part.later !== "";
  }

  // Where in the log the first line of what came together stands: of the others nobody asks.
  beginsAt([first], place) {
    if (first) first.dataset.at = place;
  }

  // Only whole parts go, so that the place where the rest begins is known, and can be gone back from.
  dropSurplus() {
    const lines = [...this.text.children];
    const surplus = lines.length - KEPT_LINES;
    if (surplus <= 0) return;
    const first = lines.findLastIndex((line, index) => index <= surplus && line.dataset.at);
    for (const line of lines.slice(0, first)) {
      this.plain.delete(line);
      line.remove();
    }
    this.start = Number(lines[first].dataset.at);
    this.linkBack();
  }

  linkBack() {
    let node = this.place.querySelector("#log-earlier");
    if (!this.start) {
      node?.remove();
      return;
    }
    if (!node) {
      node = element("p", { id: "log-earlier" }, element("a", { text: "earlier lines" }));
      this.text.before(node);
    }
    const { stream, task, attempt } = this.place.dataset;
    const link = node.querySelector("a");
    link.href = `?${new URLSearchParams({ offset: Math.max(0, this.start - BACK), until: this.start, stream, task, attempt })}#log`;
    link.onclick = (event) => this.earlier(event);
  }

  async earlier(event) {
    event.preventDefault();
    if (this.back || !this.start) return;
    this.back = true;
    try {
      const part = await this.part({ offset: Math.max(0, this.start - BACK), until: this.start });
      this.follow.checked = false;
      const height = this.text.scrollHeight;
      this.beginsAt(part.lines, part.start);
      this.text.prepend(...part.lines);
      this.text.scrollTop += this.text.scrollHeight - height;
      this.start = Number(part.start);
      this.mark(part.lines);
      this.linkBack();
    } finally {
      this.back = false;
    }
  }

  // A line with hits shows them in place of its colours; everything goes in as text.
  search() {
    for (const [line, nodes] of this.plain) line.replaceChildren(...nodes);
    this.plain.clear();
    this.at = -1;
    this.mark([...this.text.children]);
    if (!this.count()) return;
    this.follow.checked = false;
    this.go(0);
  }

  mark(lines) {
    const words = this.find.value;
    if (!words) {
      this.found.textContent = "";
      return;
    }
    const pattern = new RegExp(`(${words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`, "i");
    for (const line of lines) {
      if (this.plain.size > 4000) break;
      const pieces = line.textContent.split(pattern);
      if (pieces.length === 1) continue;
      this.plain.set(line, [...line.childNodes]);
      line.replaceChildren(...pieces.map((piece, index) => (index % 2 ? element("mark", { text: piece }) : piece)));
    }
    const count = this.count();
    this.found.textContent = count === 0 ? "not in the lines below" : count === 1 ? "found once" : `found ${count} times`;
  }

  count() {
    return this.text.querySelectorAll("mark").length;
  }

  go(index) {
    const marks = this.text.querySelectorAll("mark");
    this.at = (index + marks.length) % marks.length;
    marks[this.at].scrollIntoView({ block: "nearest" });
    marks.forEach((mark, number) => mark.classList.toggle("now", number === this.at));
  }

  next(event) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const count = this.count();
    if (!count) {
      // What is not in the lines that are here may be in the others.
      if (this.find.value) this.find.form.requestSubmit();
      return;
    }
    this.go(this.at + (event.shiftKey ? -1 : 1));
    this.found.textContent = `${this.at + 1} of ${count}`;
  }

  toEnd() {
    if (this.follow.checked) this.text.scrollTop = this.text.scrollHeight;
  }

  // Who scrolls up wants to read; who scrolls to the end wants to follow.
  scrolled() {
    this.follow.checked = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 30;
  }
}
