// The library that draws plots, asked for once the page has been painted: no first view needs it,
// and running it would hold that up.
const FOLDER = new URL("../vendor/uplot/", import.meta.url);
let asked = null;

export let isHere = false;

export function library() {
  asked ??= fetched().catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
}

async function fetched() {
  await painted();
  const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("uPlot.min.css", FOLDER) });
  const script = Object.assign(document.createElement("script"), { src: new URL("uPlot.iife.min.js", FOLDER) });
  // Before our own styles, which change some of it.
  await Promise.all([loaded(style, () => document.head.prepend(style)), loaded(script, () => document.head.append(script))]);
  isHere = true;
}

// A window that nobody sees is never painted.
function painted() {
  return new Promise((go) => (document.hidden ? setTimeout(go) : requestAnimationFrame(() => setTimeout(go))));
}

function loaded(node, insert) {
  return new Promise((done, fail) => {
    node.addEventListener("load", done);
    node.addEventListener("error", () => fail(new Error("what draws plots did not come: load the page again")));
    insert();
  });
}
