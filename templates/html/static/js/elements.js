// The elements of an array while it runs: each cell by what its element tells. A thousand cells are
// touched only where something is new, and all that came at once is written at once.
import { age, element, number } from "./page.js";

const WRITE_MS = 400;
const TONES = { waiting: "idle", running: "", done: "good", stopped: "warn", failed: "bad" };

export class ElementGrid {
  constructor(job, part, changed) {
    Object.assign(this, { job, part, changed, news: new Map(), timer: null });
    this.cells = new Map([...part.querySelectorAll("li[data-index]")].map((node) => [Number(node.dataset.index), read(node)]));
    this.counts = part.querySelector("[data-counts]");
    this.listen();
  }

  listen() {
    const source = new EventSource(`${this.job.api}/events`);
    this.source = source;
    const on = (name, does) => source.addEventListener(name, (event) => does(JSON.parse(event.data)));
    for (const name of ["start", "step", "message", "end"]) on(name, (event) => this.heard(name, event));
    on("state", () => this.changed());
    on("job", (job) => this.reported(job));
    let failures = 0;
    source.onopen = () => {
      failures = 0;
      // From here on the server need not send the grid.
      this.part.dataset.held = this.part.dataset.attempt;
    };
    source.onerror = () => {
      failures += 1;
      if (source.readyState === EventSource.CLOSED || failures >= 3) this.letGo();
    };
  }

  // No events come: the grid is asked for with the rest of the page again.
  letGo() {
    this.source.close();
    delete this.part.dataset.held;
    this.part.dataset.by = "polling";
  }

  heard(name, event) {
    const cell = this.cells.get(event.element);
    if (!cell || event.t < cell.t) return;
    const now = this.news.get(event.element) ?? { ...cell };
    now.t = event.t;
    if (name === "start" || name === "step") now.word = "running";
    if (name === "end") now.word = event.status in TONES ? event.status : "failed";
    if (name !== "message") now.chisq = event.chisq;
    if (name === "step") now.part = event.steps > 0 ? Math.min(1, event.step / event.steps) : null;
    if (name === "start" || name === "end") now.part = null;
    if (name === "message" && event.level === "error") now.text = String(event.text);
    this.news.set(event.element, now);
    this.timer ??= setTimeout(() => this.write(), WRITE_MS);
  }

  reported(job) {
    this.changed();
    if (job.final) this.close();
  }

  write() {
    this.timer = null;
    if (document.hidden) {
      this.timer = setTimeout(() => this.write(), WRITE_MS);
      return;
    }
    for (const [index, now] of this.news) this.writeCell(index, now);
    this.news.clear();
    this.writeCounts();
    this.part.dataset.drawn = String(Date.now());
  }

  writeCell(index, now) {
    const { node } = now;
    this.cells.set(index, now);
    node.className = TONES[now.word];
    node.title = now.text;
    const [word, chisq] = node.querySelectorAll("span");
    word.textContent = now.word;
    chisq.textContent = Number.isFinite(now.chisq) ? `χ² ${number(now.chisq, 3)}` : "";
    const bar = node.querySelector("progress");
    if (now.part === null) bar?.remove();
    else if (bar) bar.value = now.part;
    else chisq.after(element("progress", { max: 1, value: now.part, "aria-label": `steps of element ${index}` }));
  }

  writeCounts() {
    const counts = new Map();
    for (const { word } of this.cells.values()) counts.set(word, (counts.get(word) ?? 0) + 1);
    const words = [...counts].sort().flatMap(([word, count]) => [element("span", { "data-word": word }, `${word} `, element("b", { text: count })), " "]);
    this.counts.replaceChildren(...words, element("span", { class: "faint", text: `of ${this.cells.size} elements` }));
    const ended = this.cells.size - (counts.get("waiting") ?? 0) - (counts.get("running") ?? 0);
    const place = document.getElementById("progress");
    if (!place) return;
    const newest = Math.max(...[...this.cells.values()].map((cell) => cell.t));
    const bar = place.querySelector("progress");
    if (bar) bar.value = ended / this.cells.size;
    document.getElementById("progress-text").textContent = `${ended} of ${this.cells.size} elements have ended`;
    if (newest > 0) document.getElementById("progress-age")?.replaceChildren("· told ", age(newest));
  }

  close() {
    this.source.close();
    clearTimeout(this.timer);
    delete this.part.dataset.held;
  }
}

function read(node) {
  const [word, chisq] = node.querySelectorAll("span");
  return { node, word: word.textContent, t: Number(node.dataset.t ?? 0), chisq: Number.parseFloat(chisq.textContent.slice(3)), part: node.querySelector("progress")?.value ?? null, text: node.title };
}
