// Files that are dropped or chosen: handed to the form at once.

export function prepareFiles(form, chosen) {
  for (const zone of form.querySelectorAll(".drop")) {
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
      chosen();
    });
    input.addEventListener("change", () => {
      if (input.files.length) chosen();
    });
  }
}
