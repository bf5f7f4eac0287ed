// Files that are dropped or chosen: handed to the form at once, large ones after they are sent in pieces.
import { LARGE, sendFile } from "./upload.js";

const SINGLE = { data_file: "data", json_file: "json" };

export function prepareFiles(form, chosen, failed) {
  const take = async (zone, input) => {
    form.dataset.sending = "yes";
    try {
      const sent = [];
      for (const file of input.files) if (file.size > LARGE) sent.push(await sendFile(file, zone));
      await chosen((data) => put(data, input, sent));
    } catch (error) {
      failed(error);
    } finally {
      input.value = "";
      delete form.dataset.sending;
    }
  };
  for (const zone of form.querySelectorAll(".drop")) prepareZone(zone, take);
}

function prepareZone(zone, take) {
  const input = zone.querySelector("input[type=file]");
  zone.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    zone.classList.remove("over");
    const files = new DataTransfer();
    for (const file of event.dataTransfer.files) if (input.multiple || !files.files.length) files.items.add(file);
    input.files = files.files;
    take(zone, input);
  });
  input.addEventListener("change", () => {
    if (input.files.length) take(zone, input);
  });
}

// What was sent before is named in the form by its digest; the others go with it.
function put(data, input, sent) {
  if (!sent.length) return;
  data.delete(input.name);
  for (const file of input.files) if (file.size <= LARGE) data.append(input.name, file);
  const prefix = SINGLE[input.name];
  if (prefix) {
    data.set(`${prefix}_digest`, sent[0].digest);
    data.set(`${prefix}_name`, sent[0].name);
    data.delete(`${prefix}_python`);
    return;
  }
  const taken = new Map([...data.entries()].filter(([name]) => /^f\.\d+\.name$/.test(name)).map(([name, value]) => [value, name.split(".")[1]]));
  let next = 1 + Math.max(-1, ...[...taken.values()].map(Number));
  for (const { name, digest } of sent) {
    const index = taken.get(name) ?? next++;
    data.set(`f.${index}.name`, name);
    data.set(`f.${index}.digest`, digest);
  }
}
