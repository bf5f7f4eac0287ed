// Send a large file in pieces (tus 1.0): after a cut line it goes on where it was, and so it does
// when the page has been closed and the same file is chosen again.
import { element } from "./page.js";

const PLACE = "/api/v1/uploads";
const PIECE = 4 * 2 ** 20;
export const LARGE = PIECE;
const WAITS_S = [0.5, 1, 2, 5, 10, 15, 30, 30, 60, 60];
const REFUSED = [409, 423]; // another request sends, or sent more than was answered: ask how far it got

export async function sendFile(file, zone) {
  const shown = show(file, zone);
  try {
    return await send(file, shown);
  } finally {
    shown.line.remove();
  }
}

function show(file, zone) {
  const stopper = new AbortController();
  const bar = element("progress", { max: file.size, value: 0, "aria-label": `Sending ${file.name}` });
  const text = element("span", { role: "status" });
  const stop = element("button", { type: "button", class: "quiet", text: "Stop" });
  stop.addEventListener("click", () => stopper.abort(new Error("stopped; choose the file again to go on")));
  const line = element("p", { class: "sending" }, bar, text, stop);
  zone.append(line);
  const say = (words) => text.textContent === words || (text.textContent = words);
  const at = (offset) => {
    bar.value = offset;
    say(`${file.name}: ${megabytes(offset)} of ${megabytes(file.size)} MB`);
  };
  return { line, say, at, signal: stopper.signal };
}

const megabytes = (size) => (size / 1e6).toFixed(size < 1e8 ? 1 : 0);

async function send(file, shown) {
  let failures = 0;
  let upload = await begin(file, shown);
  while (!upload.digest) {
    shown.at(upload.offset);
    try {
      const before = upload.offset;
      await piece(file, upload, shown.signal);
      upload = await ask(upload.place, shown.signal);
      if (upload.offset > before) failures = 0;
    } catch (error) {
      upload = await again(error, upload, failures++, shown);
    }
  }
  forget(file);
  return { name: upload.name, digest: upload.digest };
}

async function begin(file, shown) {
  const known = remembered(file);
  if (known) {
    try {
      return await ask(known, shown.signal);
    } catch (error) {
      if (!error.final) throw error;
      forget(file);
    }
  }
  const name = btoa(String.fromCharCode(...new TextEncoder().encode(file.name)));
  const answer = await call(PLACE, { method: "POST", signal: shown.signal, headers: { "Upload-Length": String(file.size), "Upload-Metadata": `filename ${name}` } });
  const place = new URL(answer.headers.get("Location"), location.href).pathname;
  remember(file, place);
  return { ...(await answer.json()), place };
}

function piece(file, upload, signal) {
  const body = file.slice(upload.offset, upload.offset + PIECE);
  const headers = { "Upload-Offset": String(upload.offset), "Content-Type": "application/offset+octet-stream" };
  return call(upload.place, { method: "PATCH", body, headers, signal });
}

async function ask(place, signal) {
  const answer = await call(place, { signal });
  return { ...(await answer.json()), place };
}

// After a while, ask how far it got; what cannot be mended by waiting is thrown.
async function again(error, upload, failures, shown) {
  for (let tries = failures; ; tries += 1) {
    if (shown.signal.aborted) throw shown.signal.reason;
    if (error.final || tries >= WAITS_S.length) throw error;
    shown.say(`The line was cut at ${megabytes(upload.offset)} MB; it goes on from there as soon as it can.`);
    await pause(WAITS_S[tries], shown.signal);
    try {
      return await ask(upload.place, shown.signal);
    } catch (next) {
      error = next;
    }
  }
}

function pause(seconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, 1000 * seconds);
    for (const [target, event] of [[window, "online"], [signal, "abort"]]) target.addEventListener(event, () => (clearTimeout(timer), done()), { once: true });
  });
}

async function call(address, options) {
  const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  const headers = { "Tus-Resumable": "1.0.0", "X-CSRF-Token": token, Accept: "application/json", ...options.headers };
  const answer = await fetch(address, { cache: "no-store", ...options, headers });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  const error = new Error(problem.detail ?? `status ${answer.status}`);
  error.final = answer.status < 500 && !REFUSED.includes(answer.status) && answer.status !== 408 && answer.status !== 429;
  if (answer.status === 507) error.final = true;
  throw error;
}

// ---- where an upload was left, for who comes back with the same file

const nameOf = (file) => `upload ${file.name} ${file.size} ${file.lastModified}`;

function remembered(file) {
  return stored(() => localStorage.getItem(nameOf(file)));
}

function remember(file, place) {
  stored(() => localStorage.setItem(nameOf(file), place));
}

function forget(file) {
  stored(() => localStorage.removeItem(nameOf(file)));
}

function stored(act) {
  try {
    return act();
  } catch {
    return null; // a browser that keeps nothing sends such a file from its beginning
  }
}
