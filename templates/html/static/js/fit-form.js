// The new-fit form, live: what is typed is looked at by the server, which answers the same form;
// the parts that changed are put in, what somebody types in is left alone.
import { element, say } from "./page.js";
import { prepareButtons, reveal } from "./buttons.js";
import { CurveEditor } from "./curve-editor.js";
import { prepareFiles } from "./fit-files.js";
import { placeSliders, prepareSliders } from "./sliders.js";

const WAIT_MS = 350;
const ASK_MS = 2000;
const SLIDING_MS = 60;
const form = document.getElementById("fit-form");
const state = document.getElementById("form-state");
const editor = new CurveEditor(form, (name, text) => setField(name, text));

let timer = null;
let running = null;
let edits = 0;
let looked = 0; // the edit up to which the server has looked
let sent = false;

function setField(name, text) {
  const field = form.elements.namedItem(name);
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

// An edit that the server has not looked at yet; tests and styles read it too.
function edited() {
  edits += 1;
  form.dataset.looked = "no";
}

function plan(wait = WAIT_MS) {
  edited();
  if (state) state.textContent = "";
  clearTimeout(timer);
  timer = setTimeout(() => look(), wait);
}

function formData(does) {
  const data = new FormData(form);
  // Files are sent when they are chosen, not at each look.
  for (const [name, value] of [...data.entries()]) if (value instanceof File && does !== "files") data.delete(name);
  data.delete("do");
  data.append("do", does);
  return data;
}

// Ask the server what it reads of the form; answers whether what is shown is now up to date.
async function look(does = "look", data = formData(does)) {
  clearTimeout(timer);
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const asked = edits;
  let text = "";
  try {
    const answer = await fetch(form.dataset.live, { method: "POST", body: data, signal: mine.signal });
    if (answer.redirected || answer.status === 401) {
      location.assign("/sign-in?next=" + encodeURIComponent(location.pathname + location.search));
      return false;
    }
    if (answer.status === 413) throw new Error("this is more than a form takes: choose the data as a file");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    text = await answer.text();
  } catch (error) {
    if (error.name !== "AbortError" && state) state.textContent = `Not looked at (${error.message}); what you typed is kept.`;
    return false;
  } finally {
    if (running === mine) running = null;
  }
  if (asked !== edits) return false;
  take(new DOMParser().parseFromString(text, "text/html"));
  looked = asked;
  form.dataset.looked = "yes";
  return true;
}

function take(fresh) {
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = form.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!old || old.dataset.signature === part.dataset.signature) continue;
    replacePart(old, document.importNode(part, true));
  }
  for (const node of fresh.querySelectorAll("small.wrong")) markField(node.id.slice(6), node.hidden ? "" : node.textContent);
  for (const node of fresh.querySelectorAll("small.hint")) hint(node);
  if (form.querySelector("[data-waits]")) timer = setTimeout(() => look(), ASK_MS);
}

function hint(fresh) {
  const old = document.getElementById(fresh.id);
  if (!old || old.textContent === fresh.textContent) return;
  if (old.hidden && !fresh.hidden) uncover(old);
  old.textContent = fresh.textContent;
  old.hidden = fresh.hidden;
}

function replacePart(old, part) {
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const opened = [...old.querySelectorAll("details")].map((node) => node.open);
  const had = part.dataset.part === "script" && old.querySelector("#script-text");
  old.replaceWith(part);
  part.querySelectorAll("details").forEach((node, index) => (node.open = opened[index] ?? node.open));
  reveal(part);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (part.dataset.part === "curve") editor.draw();
  if (part.dataset.part === "parameters") placeSliders(form);
  if (had && part.querySelector("#script-text")) {
    part.querySelector("#script-text").classList.add("changed");
    if (state) state.textContent = "The script has been made anew, with your changes.";
  }
}

function markField(name, text) {
  const small = document.getElementById(`wrong-${name}`);
  if (!small) return;
  if (small.textContent !== text) small.textContent = text;
  small.hidden = !text;
  const field = document.getElementById(name);
  if (!field) return;
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function focusFirstWrong() {
  const wrong = [...form.querySelectorAll('[aria-invalid="true"]')].find((node) => uncover(node));
  if (wrong) wrong.focus();
  else document.getElementById("wrong")?.focus();
}

// Open what hides a field; false when it belongs to another tab.
function uncover(node) {
  for (let box = node.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  return node.checkVisibility ? node.checkVisibility() : node.offsetParent !== null;
}

// Whether a field is not as the server sent it: who is quick has chosen before this script was here.
function changed(node) {
  if (node.type === "select-one") return node.selectedOptions[0] !== ([...node.options].find((one) => one.defaultSelected) ?? node.options[0]);
  if (["checkbox", "radio"].includes(node.type)) return node.checked !== node.defaultChecked;
  return ["text", "textarea", "search", "number"].includes(node.type) && node.value !== node.defaultValue;
}

// Who comes back to the form finds it as it was sent.
function remember() {
  const entries = [...new FormData(form).entries()].filter(([name, value]) => typeof value === "string" && name !== "csrf_token" && name !== "draft" && name !== "seen");
  history.replaceState({ form: entries }, "");
}

async function restore(entries) {
  const data = new FormData();
  for (const [name, value] of entries) data.append(name, value);
  data.set("csrf_token", form.elements.csrf_token.value);
  data.set("do", "look");
  edited();
  for (const box of form.querySelectorAll("input[type=checkbox], input[type=radio]")) box.checked = false;
  fill(entries);
  await look("look", data);
  fill(entries);
}

function fill(entries) {
  for (const [name, value] of entries) {
    const fields = [...form.querySelectorAll(`[name="${CSS.escape(name)}"]`)].filter((node) => node.tagName !== "BUTTON" && node.type !== "file");
    for (const node of fields) {
      if (node.type === "checkbox" || node.type === "radio") node.checked = node.checked || node.value === value;
      else node.value = value;
    }
  }
}

// What is sent is what is shown: an edit of the last moment is looked at first.
async function lookAndSend(button) {
  const current = (await look()) || edits === looked;
  if (!current) {
    sent = false;
    lock(false);
    return;
  }
  form.dataset.ready = "yes";
  form.requestSubmit(button);
}

function lock(on) {
  for (const button of form.querySelectorAll(".submit button, .step button[value=save]")) button.setAttribute("aria-disabled", String(on));
  if (state) state.textContent = on ? "Sending …" : "";
}

form.addEventListener("submit", (event) => {
  if (form.dataset.ready) {
    delete form.dataset.ready;
    return;
  }
  const does = event.submitter?.value ?? "look";
  if (!["fit", "check", "save"].includes(does)) {
    event.preventDefault();
    edited();
    look(does);
    return;
  }
  if (sent || form.dataset.sending) {
    event.preventDefault();
    if (!sent && state) state.textContent = "A file is still on its way; press once more when it is here.";
    return;
  }
  sent = true;
  lock(true);
  remember();
  if (edits === looked) return;
  event.preventDefault();
  lookAndSend(event.submitter);
});

// A page that comes back from the browser's memory may be sent again: its key makes the same job.
window.addEventListener("pageshow", () => {
  sent = false;
  lock(false);
});

form.addEventListener("input", (event) => {
  if (event.target.type === "file" || event.target.id === "find-function") return;
  plan(document.activeElement?.type === "range" ? SLIDING_MS : WAIT_MS);
});
form.addEventListener("change", (event) => {
  if (event.target.matches("input[type=radio], input[type=checkbox], select")) plan(0);
});
form.addEventListener("click", (event) => {
  const link = event.target.closest("[data-to]");
  if (!link) return;
  const field = document.getElementById(link.dataset.to);
  if (!field) return;
  event.preventDefault();
  uncover(field);
  field.focus();
});

prepareButtons();
reveal(document);
async function takeFiles(put) {
  edited();
  const data = formData("files");
  put(data);
  await look("files", data);
  say("The files have been read.");
}
prepareFiles(form, takeFiles, (error) => {
  if (state) state.textContent = `Not sent: ${error.message}.`;
});
prepareSliders(form, setField);
editor.draw();
if (document.getElementById("wrong")) focusFirstWrong();
form.dataset.looked = "yes";
if (history.state?.form && !document.getElementById("wrong")) restore(history.state.form);
else if ([...form.elements].some(changed)) plan(0);
