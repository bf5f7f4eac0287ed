// What every page of jobs needs: small helpers, ages that grow, and the part of the page that
// changes, asked for again and again while it does and while somebody looks.

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// Messages for screen readers, and the same on a button for who looks at it.
export function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}

export function number(value, digits = 6) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "-";
  const text = Number(value).toPrecision(digits);
  if (!text.includes("e")) return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
  const [mantissa, exponent] = text.split("e");
  return (mantissa.includes(".") ? mantissa.replace(/0+$/, "").replace(/\.$/, "") : mantissa) + "e" + exponent.replace("+", "");
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const units = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  const whole = Math.round(seconds);
  for (const [size, large, part, small] of units) {
    if (whole < size) continue;
    const rest = Math.floor((whole % size) / part);
    return `${Math.floor(whole / size)} ${large}` + (rest ? ` ${rest} ${small}` : "");
  }
  return `${whole} s`;
}

function ago(moment) {
  const seconds = (Date.now() - moment) / 1000;
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}

// A moment in seconds as text that grows older; a clock that nobody can believe is no moment.
export function age(t) {
  const moment = new Date(t * 1000);
  if (Number.isNaN(moment.getTime())) return "at a time that is none";
  return element("time", { datetime: moment.toISOString(), title: moment.toISOString(), "data-ago": true, text: ago(moment) });
}

function growOlder() {
  if (document.hidden) return;
  for (const node of document.querySelectorAll("time[data-ago]")) {
    const text = ago(Date.parse(node.dateTime));
    if (node.textContent !== text) node.textContent = text;
  }
}
setInterval(growOlder, 1000);

// Replace the parts whose version is another; one in which somebody is busy waits for the next time.
function replaceParts(html, changed) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  let waiting = false;
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const old = document.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!old || old.dataset.version === part.dataset.version) continue;
    if (isBusy(old)) {
      waiting = true;
      continue;
    }
    const active = old.contains(document.activeElement) ? document.activeElement : null;
    const focused = active?.id ? null : active?.textContent.trim();
    const node = document.importNode(part, true);
    old.replaceWith(node);
    if (active?.id) document.getElementById(active.id)?.focus({ preventScroll: true });
    if (focused) [...node.querySelectorAll("a, button, summary")].find((one) => one.textContent.trim() === focused)?.focus({ preventScroll: true });
    changed(node);
  }
  growOlder();
  return waiting;
}

function isBusy(part) {
  if (document.querySelector("dialog[open]")) return true;
  const active = document.activeElement;
  const typing = active && part.contains(active) && active.matches("input:not([type=checkbox]), textarea, select");
  return Boolean(typing) || [...part.querySelectorAll("details[open] form")].length > 0;
}

// What is shown stays, and says how old it is.
function silent(answered) {
  const note = element("p", { class: "note", id: "silent", role: "alert" });
  note.append("The gateway does not answer. What you see is from ", age(answered), "; this page asks again by itself.");
  document.querySelector("main").prepend(note);
}

const HIDDEN_MS = 10_000;

// Ask for the changing part of this page; the answer is nothing while nothing has changed.
export class Live {
  constructor(every, changed) {
    this.every = every;
    this.changed = changed;
    this.etag = null;
    this.asking = false;
    this.failures = 0;
    this.answered = Date.now() / 1000;
    this.timer = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.refresh()));
    if (this.isOn()) this.plan();
  }

  isOn() {
    return document.querySelector('[data-live][data-on="yes"]') !== null;
  }

  pause() {
    clearTimeout(this.timer);
    this.plan();
  }

  // Go on asking, more slowly, while nobody looks: somebody wants to be told.
  watchHidden(on) {
    this.watched = on;
  }

  plan() {
    clearTimeout(this.timer);
    if (document.hidden && !this.watched) return;
    const every = document.hidden ? Math.max(this.every, HIDDEN_MS) : this.every;
    this.timer = setTimeout(() => this.refresh(), every * 2 ** Math.min(this.failures, 4));
  }

  async refresh() {
    if (this.asking) return;
    this.asking = true;
    try {
      await this.ask();
      this.failures = 0;
      document.getElementById("silent")?.remove();
    } catch (error) {
      this.failures += 1;
      if (this.failures === 2) silent(this.answered);
    } finally {
      this.asking = false;
    }
    if (this.isOn() || this.waiting) this.plan();
  }

  async ask() {
    const address = new URL(location.href);
    address.hash = "";
    address.searchParams.set("part", "live");
    const held = document.querySelector("[data-held]");
    if (held) address.searchParams.set("held", held.dataset.held);
    // What is held by events is another page to the server, with an ETag of its own.
    if (this.address !== address.href) this.etag = null;
    this.address = address.href;
    const headers = this.etag ? { "If-None-Match": this.etag } : {};
    const answer = await fetch(address, { headers, cache: "no-store" });
    if (answer.ok || answer.status === 304) this.answered = Date.now() / 1000;
    if (answer.status === 304) return;
    if (answer.redirected || answer.status === 401 || answer.status === 404) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    this.waiting = replaceParts(await answer.text(), this.changed);
    this.etag = this.waiting ? null : answer.headers.get("ETag");
  }
}

export async function getJson(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}
