// The list of jobs keeps itself up to date while something is live.
import { Live } from "./page.js";

new Live(2500, () => {});
