// Commands that are copied by a button.
import { prepareButtons, reveal } from "./buttons.js";

prepareButtons();
reveal(document);
