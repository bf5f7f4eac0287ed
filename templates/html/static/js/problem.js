// One problem: its data and start curve, and buttons that ask.
import { prepareButtons, reveal } from "./buttons.js";
import { CurveEditor } from "./curve-editor.js";

prepareButtons();
reveal(document);
const place = document.getElementById("start-plot");
if (place) new CurveEditor(place).draw();
