// The keys: which one does what, shown on every button, changed in the help and kept for the account.

import { post, Refusal } from "./site.js";
import { make, part } from "./view.js";

const NAMES = {
  accept: "Accept the first candidate", unknown: "Cannot tell", new: "New product", reject: "Reject the photo",
  search: "Search the catalogue", skip: "Skip for now", undo: "Undo", alike: "Look-alikes", split: "Split the photo",
  box: "Show or hide the box", heat: "Where the network looked", zoom: "The whole photo", help: "These keys",
};
const SHOWN = { " ": "Space" };

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const usual = read("default-keys");
let keys = read("keys");

/** The action that a pressed key means, a digit as it is, or nothing. */
export function actionOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (/^[1-9]$/.test(event.key)) return event.key;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return Object.keys(keys).find((action) => keys[action] === key) ?? null;
}

/** Every `<kbd data-key>` on the page says its key. */
export function showKeys() {
  for (const mark of document.querySelectorAll("kbd[data-key]")) mark.textContent = nameOf(keys[mark.dataset.key]);
}

/** The list in the help; a button that was pressed takes the next key. `told` says what was wrong with it. */
export function prepareKeys(dialog, told) {
  const buttons = Object.keys(NAMES).map((action) => make("button", { type: "button", "data-change": action }));
  const rest = (button) => {
    delete button.dataset.waits;
    button.textContent = nameOf(keys[button.dataset.change]);
  };
  const draw = () => {
    buttons.forEach(rest);
    showKeys();
  };
  const row = (button) => {
    const action = button.dataset.change;
    button.addEventListener("click", () => {
      button.textContent = "Press a key";
      button.dataset.waits = "yes";
    });
    button.addEventListener("blur", () => rest(button));
    button.addEventListener("keydown", (event) => {
      if (!button.dataset.waits || event.key === "Tab") return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key.length === 1) change({ ...keys, [action]: event.key.toLowerCase() });
    });
    return make("div", {}, make("dt", {}, NAMES[action]), make("dd", {}, button));
  };
  const change = async (wanted) => {
    try {
      keys = (await post("keys", { keys: wanted })).keys;
    } catch (error) {
      told(error instanceof Refusal ? error.message : "The keys could not be kept: the site does not answer.");
    }
    draw();
  };
  part("default-keys", dialog).addEventListener("click", () => change(usual));
  const digits = make("div", {}, make("dt", {}, "Choose a candidate"), make("dd", {}, make("kbd", {}, "1 … 9")));
  part("keys", dialog).replaceChildren(...buttons.map(row), digits);
  draw();
}

function nameOf(key) {
  return SHOWN[key] ?? key.toUpperCase();
}
