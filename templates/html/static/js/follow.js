// Follows a running fit: chi-square and best curve as they come, by events or, failing those, by asking.
import { age, element, getJson, number } from "./page.js";
import { LiveCurves } from "./live-curve.js";
import { Plot } from "./plot.js";

const ASK_MS = 2000;
const KEPT = 2000;
const DRAW_MS = 500;

export class Follower {
  constructor(job, part, changed) {
    Object.assign(this, { job, part, changed, steps: [], labels: [] });
    // What an earlier attempt said is still in the stream.
    this.since = Number(part.dataset.since);
    this.places = { chisq: part.querySelector("#live-chisq"), curve: part.querySelector("#live-curve"), parameters: part.querySelector("#live-parameters"), note: part.querySelector("#live-note") };
    this.curves = new LiveCurves(this.places.curve);
    this.listen();
  }

  listen() {
    const source = new EventSource(`${this.job.api}/events`);
    this.source = source;
    const on = (name, does) => source.addEventListener(name, (event) => {
      const told = JSON.parse(event.data);
      if (!(told.t < this.since)) does(told);
    });
    on("start", (event) => this.started(event));
    on("step", (event) => this.stepped(event));
    on("curve", (event) => this.curved(event));
    on("message", (event) => this.told(event));
    on("state", () => this.changed());
    on("job", (job) => this.reported(job));
    let failures = 0;
    source.onopen = () => (failures = 0);
    source.onerror = () => {
      failures += 1;
      if (source.readyState === EventSource.CLOSED || failures >= 3) this.poll();
    };
  }

  // No events (too many readers, a proxy that holds them back): ask for the last step instead.
  poll() {
    this.source?.close();
    this.source = null;
    this.part.dataset.by = "polling";
    clearInterval(this.timer);
    this.timer = setInterval(() => this.ask(), ASK_MS);
  }

  async ask() {
    if (document.hidden) return;
    try {
      const job = await getJson(this.job.api);
      if (job.progress && !(job.progress.t < this.since)) {
        if (job.progress.labels.length) this.labels = job.progress.labels;
        this.stepped(job.progress);
      }
      if (!job.final) for (const event of await getJson(`${this.job.page}?part=curves`)) this.curved(event);
      this.reported(job);
      this.part.dataset.by = "polling";
    } catch {
      this.part.dataset.by = "nothing";
    }
  }

  reported(job) {
    this.changed();
    if (job.final) this.close();
  }

  started(event) {
    this.labels = Array.isArray(event.labels) ? event.labels : [];
    this.steps = Number.isFinite(event.chisq) ? [[0, event.chisq]] : [];
    this.plan();
  }

  stepped(event) {
    if (!Number.isFinite(event.step)) return;
    const last = this.steps.at(-1);
    if (Number.isFinite(event.chisq) && (!last || event.step > last[0])) this.steps.push([event.step, event.chisq, ...(event.quantiles || [])]);
    if (this.steps.length > KEPT) this.steps = this.steps.filter((_, index) => index % 2 === 0 || index > KEPT - 100);
    this.last = event;
    this.plan();
  }

  curved(event) {
    if (!(event.t < this.since) && this.curves.take(event)) this.plan();
  }

  told(event) {
    if (event.level === "info" || !event.text) return;
    this.warning = String(event.text);
    this.places.note.textContent = this.warning;
  }

  // Many events at once are drawn once.
  plan() {
    if (this.planned) return;
    this.planned = setTimeout(() => {
      this.planned = null;
      if (!this.closed) this.draw();
    }, DRAW_MS);
  }

  draw() {
    if (document.hidden) return this.plan();
    this.drawSteps();
    this.curves.draw();
    this.drawParameters();
    this.drawProgress();
    this.drawNote();
    this.part.dataset.drawn = "yes";
  }

  drawSteps() {
    if (this.steps.length < 2) return;
    const column = (index) => this.steps.map((row) => row[index] ?? null);
    const series = [{ label: "best", values: column(1), colour: "--plot-fit", kind: "line", width: 2.5 }];
    const population = this.steps.some((row) => row.length > 5);
    if (population) {
      series.push({ label: "median", values: column(4), colour: "--plot-data", kind: "line", dash: [5, 4], width: 1.5 });
      for (const [index, label] of [[5, "80 %"], [3, "20 %"]]) series.push({ label, values: column(index), colour: "--plot-third", kind: "line", width: 1 });
    }
    const bands = population ? [[2, 3, "--plot-third"]] : [];
    const summary = population ? "The band holds the middle three fifths of the population." : "";
    const all = series.flatMap((one) => one.values).filter((value) => value !== null);
    const wide = Math.min(...all) > 0 && Math.max(...all) / Math.min(...all) > 5;
    this.chisq = shown(this.chisq, this.places.chisq, { x: column(0), xLabel: "step", yLabel: "reduced χ²", logY: wide, series, bands, summary, height: 240, label: "Live chi-square." });
  }

  drawParameters() {
    const best = this.last?.best;
    if (!this.labels.length || !best?.length) return;
    const rows = this.labels.slice(0, best.length).map((label, index) => element("tr", {}, element("th", { scope: "row", class: "text", text: label }), element("td", { class: "number", text: number(best[index]) })));
    const table = element("table", {}, element("tbody", {}, ...rows));
    this.places.parameters.replaceChildren(element("h3", { text: "Parameters so far" }), element("div", { class: "scroll", role: "region", "aria-label": "Parameters so far", tabindex: "0" }, table));
  }

  drawNote() {
    if (this.warning || this.steps.length < 2) return;
    this.places.note.textContent = `Best reduced χ² ${number(this.steps.at(-1)[1], 5)}, from ${number(this.steps[0][1], 5)} at the start.`;
  }

  drawProgress() {
    const place = document.getElementById("progress");
    if (!place || !this.last) return;
    const { step, steps, chisq, phase } = this.last;
    place.hidden = false;
    const bar = place.querySelector("progress");
    if (bar && steps > 0) bar.value = Math.min(1, step / steps);
    const words = [`step ${step}${steps ? ` of ${steps}` : ""}${phase ? `, ${phase}` : ""}`];
    if (Number.isFinite(chisq)) words.push(`best χ² ${number(chisq, 5)}`);
    const text = document.getElementById("progress-text");
    if (text) text.textContent = words.join(" · ");
    if (Number.isFinite(this.last.t)) document.getElementById("progress-age")?.replaceChildren("· told ", age(this.last.t));
  }

  close() {
    this.closed = true;
    this.source?.close();
    clearInterval(this.timer);
    clearTimeout(this.planned);
    this.chisq?.close();
    this.curves.close();
  }
}

function shown(plot, place, spec) {
  if (!plot) return new Plot(place, spec);
  plot.set(spec);
  return plot;
}
