// Says on the desktop that a job has ended, to who asked for it on its page and let the browser do so.
import { say } from "./page.js";

export class Desktop {
  constructor(live, button, name) {
    Object.assign(this, { live, button, name, on: false });
    if (!button || !("Notification" in window)) return;
    button.hidden = false;
    button.addEventListener("click", () => this.toggle());
  }

  async toggle() {
    const allowed = this.on || (await Notification.requestPermission()) === "granted";
    this.on = allowed && !this.on;
    this.live.watchHidden(this.on);
    this.button.setAttribute("aria-pressed", String(this.on));
    const text = this.on ? "You will be told on this desktop" : "Tell me on this desktop when it ends";
    this.button.textContent = allowed ? text : "Your browser does not allow it";
    say(this.button.textContent);
  }

  // What it says is text to the desktop, whatever stands in the title.
  changed(part) {
    if (!this.on || part.dataset.on === "yes") return;
    this.on = false;
    this.button.hidden = true;
    const words = [...part.querySelectorAll(".big > *")].map((word) => word.textContent.trim()).join(", ");
    try {
      const told = new Notification(document.querySelector("h1").textContent, { body: words, tag: this.name });
      told.onclick = () => window.focus();
    } catch {
      say(words); // Chrome on Android has the name, and lets no page use it
    }
  }
}
