// Shows an OpenAPI document. Text goes into the page as text, never as HTML.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(tag, text, ...children) {
  const node = document.createElement(tag);
  if (text !== null && text !== undefined) node.textContent = text;
  node.append(...children);
  return node;
}

function classed(name, node) {
  node.className = name;
  return node;
}

function resolve(spec, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.split("/").slice(1).reduce((part, key) => part[key], spec);
}

function typeOf(spec, schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf || schema.oneOf) return (schema.anyOf || schema.oneOf).map((one) => typeOf(spec, one)).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return "[" + typeOf(spec, schema.items) + "]";
  return [].concat(schema.type || "any").join(" | ") + (schema.format ? " (" + schema.format + ")" : "");
}

function limitsOf(schema) {
  const words = [];
  if (schema.minimum !== undefined) words.push("from " + schema.minimum);
  if (schema.maximum !== undefined) words.push("to " + schema.maximum);
  if (schema.minLength !== undefined) words.push("at least " + schema.minLength + " signs");
  if (schema.maxLength !== undefined) words.push("at most " + schema.maxLength + " signs");
  if (schema.default !== undefined) words.push("default " + JSON.stringify(schema.default));
  return words.join(", ");
}

function table(rows) {
  const body = element("tbody");
  for (const [name, type, note] of rows) {
    body.append(element("tr", null, element("td", null, element("code", name)), element("td", type), classed("text", element("td", note))));
  }
  return classed("scroll", element("div", null, element("table", null, body)));
}

function fields(spec, schema) {
  const whole = resolve(spec, schema);
  const required = new Set(whole.required || []);
  return Object.entries(whole.properties || {}).map(([name, part]) => {
    const inner = resolve(spec, part);
    const notes = [required.has(name) ? "required" : "", limitsOf(part), part.description || inner.description || ""];
    return [name, typeOf(spec, part), notes.filter(Boolean).join("; ")];
  });
}

function operation(spec, path, method, what) {
  const box = element("details");
  const title = element("summary", null, classed("tag", element("b", method.toUpperCase())), " ", element("code", path), " ", classed("faint", element("span", what.summary || "")));
  box.append(title);
  if (what.description) box.append(element("p", what.description));
  const scope = what["x-scope"];
  box.append(classed("faint", element("p", scope ? "Needs the scope " + scope + "." : "Open to everybody.")));
  const parameters = (what.parameters || []).map((one) => [one.name, one.in + ", " + typeOf(spec, one.schema), [one.required ? "required" : "", limitsOf(one.schema || {}), one.description || (one.schema || {}).description || ""].filter(Boolean).join("; ")]);
  if (parameters.length) box.append(element("h3", "Parameters"), table(parameters));
  for (const [type, body] of Object.entries((what.requestBody || {}).content || {})) {
    box.append(element("h3", "Body: " + type), table(fields(spec, body.schema)));
  }
  for (const [status, answer] of Object.entries(what.responses || {})) {
    box.append(element("h3", status + " " + (answer.description || "")));
    for (const [type, body] of Object.entries(answer.content || {})) {
      if (status < "400") box.append(table(fields(spec, body.schema)));
      else box.append(classed("faint", element("p", type)));
    }
  }
  box.dataset.text = (method + " " + path + " " + (what.summary || "")).toLowerCase();
  return box;
}

function show(spec, place) {
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = (item[method].tags || ["Other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(spec, path, method, item[method]));
    }
  }
  place.replaceChildren();
  for (const [tag, operations] of groups) {
    place.append(element("section", null, element("h2", tag), ...operations));
  }
}

function filter(place, words) {
  for (const box of place.querySelectorAll("details")) {
    box.hidden = !words.every((word) => box.dataset.text.includes(word));
  }
  for (const section of place.querySelectorAll("section")) {
    section.hidden = !section.querySelector("details:not([hidden])");
  }
}

async function start() {
  const place = document.getElementById("spec");
  try {
    const answer = await fetch(place.dataset.spec);
    if (!answer.ok) throw new Error("status " + answer.status);
    show(await answer.json(), place);
  } catch (error) {
    place.replaceChildren(classed("alert", element("p", "The document cannot be read: " + error.message)));
  }
  document.getElementById("filter").addEventListener("input", (event) => {
    filter(place, event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
  });
}

start();
