// Buttons that ask before they do, and that copy.
import { say } from "./page.js";

export function reveal(root) {
  for (const node of root.querySelectorAll(".scripted[hidden]")) node.hidden = false;
}

export function prepareButtons() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.ask && !form.dataset.sure) {
      event.preventDefault();
      ask(form);
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-url]");
    if (button) copy(button);
    const opener = event.target.closest("[data-opens]");
    if (opener) open(event, opener.dataset.opens);
  });
}

function ask(form) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-text").textContent = form.dataset.ask;
  document.getElementById("ask-yes").textContent = form.dataset.yes;
  dialog.returnValue = "no";
  dialog.onclose = () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.sure = "yes";
    form.requestSubmit();
  };
  dialog.showModal();
}

function open(event, id) {
  const box = document.getElementById(id);
  if (!box) return;
  event.preventDefault();
  box.open = true;
  box.querySelector("input:not([type=hidden])")?.focus();
}

async function copy(button) {
  const text = button.textContent;
  try {
    await navigator.clipboard.writeText(await content(button));
    button.textContent = "Copied";
    say("Copied");
  } catch (error) {
    button.textContent = "Not copied";
    say(`Not copied: ${error.message}`);
  }
  setTimeout(() => (button.textContent = text), 2000);
}

async function content(button) {
  if (button.dataset.copy) return document.querySelector(button.dataset.copy).textContent;
  const answer = await fetch(button.dataset.copyUrl);
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.text();
}
