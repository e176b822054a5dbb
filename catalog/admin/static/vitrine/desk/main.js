// The review desk: shows the first item of the line, turns keys, clicks and taps into decisions, and never waits.
// line.js loads ahead, outbox.js sends behind; between them a decision is one exchange of nodes.

import { alikeChosen, closeAlike, keepAlikeFor, toggleAlike } from "./alike.js";
import { prepareNew, prepareSearch, prepareSplit } from "./dialogs.js";
import { actionOf, prepareKeys, showKeys } from "./keys.js";
import { Line } from "./line.js";
import { Outbox } from "./outbox.js";
import { get, LoggedOut, newId, Refusal, sayGoodbye } from "./site.js";
import { make, part } from "./view.js";

const GONE = new Set(["item_decided", "item_claimed", "not_found", "review_forbidden", "decision_superseded"]);
const SAVED = { saved: () => "Saved", saving: (n) => `Saving ${n}`, away: (n) => `Offline, ${n} wait`, out: (n) => `Log in again, ${n} wait` };
const NOTE_SECONDS = 8;

const stage = part("stage");
const dialog = (id) => document.getElementById(id);
const made = []; // what can be undone: [{orders, entries}]
const undone = new Set(); // ids of the undos that were sent
let decided = 0;

const outbox = new Outbox({ answered, changed: showSaved });
const line = new Line({
  pending: () => outbox.items,
  changed: (shownIsLost) => (shownIsLost || stage.firstElementChild !== line.current?.node ? show() : tell()),
  failed: (error) => {
    if (error instanceof LoggedOut) note(`${error.message} Log in again in another tab.`);
    else if (error instanceof Refusal) note(`No more items: ${error.message}`);
  },
  claimSeconds: Number(document.body.dataset.claimSeconds),
});

const openSearch = prepareSearch(dialog("search"), (item, product) => decide("correct", { product: product.product }, item));
const openNew = prepareNew(dialog("new"), makeNew);
const openSplit = prepareSplit(dialog("split"), (item, parts) => decide("split", { parts }, item));
prepareKeys(dialog("help"), note);

const ACTIONS = {
  accept: (item) => choose(item, 1),
  unknown: () => decide("unknown"),
  reject: () => decide("reject"),
  new: openNew,
  search: openSearch,
  split: (item) => item.photo && openSplit(item),
  skip,
  alike: (item) => toggleAlike(item, line.entries.map((entry) => entry.item.id)).catch(() => closeAlike()),
  box: () => (line.current.node.dataset.box = line.current.node.dataset.box === "on" ? "off" : "on"),
  heat: (item) => heat(item, line.current.node),
  zoom: () => document.body.toggleAttribute("data-zoomed"),
};

// Keys, clicks and taps -----------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.repeat || document.querySelector("dialog[open]") || (event.key === " " && event.target.matches("input"))) return;
  const action = actionOf(event);
  if (action === null) return;
  event.preventDefault();
  act(action);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action], [data-choice], [data-open]");
  if (!button || button.closest("dialog")) return;
  if (button.dataset.open) dialog(button.dataset.open).showModal();
  else act(button.dataset.choice ?? button.dataset.action);
  button.blur(); // so that the space bar means the desk's, not this button's
});
window.addEventListener("beforeunload", (event) => outbox.items.length && event.preventDefault());
window.addEventListener("pagehide", sayGoodbye);

function act(action) {
  if (action === "help") return dialog("help").showModal();
  if (action === "undo") return undo();
  const item = line.current?.item;
  if (!item) return undefined;
  return /^[1-9]$/.test(action) ? choose(item, Number(action)) : ACTIONS[action]?.(item);
}

// Decisions -----------------------------------------------------------------------------------------------------------

function choose(item, number) {
  const candidate = item.candidates[number - 1];
  if (!candidate) return note(number === 1 ? "There is no candidate to accept." : `There is no candidate ${number}.`);
  return decide(number === 1 ? "accept" : "correct", { product: candidate.product });
}

function makeNew(item, values) {
  item.form = { ...item.form, ...values }; // so that what was typed is there when it is refused
  decide("new_product", { values }, item);
}

/** Decide on the item that is shown, and on its ticked look-alikes; show the next one at once.
    `item`: the one that was looked at, which may have gone under an open window; then nothing is decided. */
function decide(action, more = {}, item = line.current?.item) {
  if (!item || line.current?.item.id !== item.id) return note("Another photo is shown by now, so nothing was decided.");
  const { shownAt } = line.current;
  const alike = action === "split" ? [] : alikeChosen();
  const first = { id: newId(), item: item.id, action, seconds: (performance.now() - shownAt) / 1000, ...more };
  const same = action === "new_product" ? { action: "correct", same_as: first.id } : { action, ...more };
  const orders = [first, ...alike.map((id) => ({ id: newId(), item: id, ...same }))];
  const entries = line.take([item.id, ...alike]);
  made.push({ orders, entries });
  count(orders.length);
  closeAlike(alike);
  show();
  outbox.add(...orders);
  line.refill();
  return undefined;
}

function count(more) {
  decided += more;
  line.waiting -= more; // until the site counts again
}

function undo() {
  const last = made.pop();
  if (!last) return note("There is nothing to undo.");
  closeAlike();
  count(-last.orders.length);
  line.putBack(last.entries);
  show();
  const orders = last.orders.toReversed();
  const undos = orders.map((order) => ({ id: newId(), item: order.item, action: "undo", undoes: order.id }));
  undos.forEach((order) => undone.add(order.id));
  outbox.add(...undos);
  return undefined;
}

function skip() {
  closeAlike();
  line.skip();
  show();
}

/** The site's word on a decision. One that was refused is said, and its item comes back where it can be mended. */
function answered(order, result) {
  const isUndo = undone.delete(order.id);
  if (!result.code) return;
  const at = made.findIndex((each) => each.orders.some((known) => known.id === order.id));
  if (order.action === "undo") {
    if (result.code !== "not_found") {
      line.take([order.item]);
      if (isUndo) count(1); // it is decided after all
    }
  } else if (at >= 0) {
    count(-1); // unless it was undone meanwhile, or made before the page was loaded anew
    giveBack(at, order, result);
  }
  note(`Not counted: ${[result.message, ...(result.problems ?? []).map((each) => each.message)].join(" ")}`);
  if (stage.firstElementChild !== line.current?.node) show();
  else tell();
}

function giveBack(at, order, result) {
  const { orders, entries } = made[at];
  const entry = entries.find((each) => each.item.id === order.item);
  orders.splice(orders.findIndex((known) => known.id === order.id), 1);
  if (!orders.length) made.splice(at, 1);
  if (!entry || GONE.has(result.code)) return;
  line.putBack([entry]);
}

// The page ------------------------------------------------------------------------------------------------------------

function show() {
  const entry = line.current;
  document.body.removeAttribute("data-zoomed");
  keepAlikeFor(entry?.item);
  if (entry) {
    stage.replaceChildren(entry.node);
    entry.shownAt = performance.now();
  } else stage.replaceChildren(emptyNode());
  tell();
}

function emptyNode() {
  if (!line.dry) return make("p", { class: "empty" }, "Loading more items …");
  const text = line.waiting ? "Other reviewers have what is left of this queue." : "Nothing is waiting: everything here is decided.";
  const again = make("button", { type: "button", class: "strong" }, line.skipped.length ? "Show what I skipped" : "Look again");
  again.addEventListener("click", () => line.forgetSkipped());
  return make("div", { class: "empty" }, make("p", {}, text), again);
}

function tell() {
  part("decided").textContent = decided;
  if (line.waiting !== null) part("waiting").textContent = line.waiting;
  const alike = line.current?.item.alike.length ?? 0;
  part("alike-button").disabled = !alike;
  part("alike-button").dataset.count = alike || "";
  document.querySelector(".bar").toggleAttribute("data-idle", !line.current);
}

function showSaved(waiting, state) {
  const saved = part("saved");
  saved.dataset.state = state;
  saved.textContent = SAVED[state](waiting);
  if (state === "saved" && !line.current) line.refill(true); // only now does the site know how many are left
}

function note(text) {
  const row = make("p", {}, text);
  part("notes").append(row);
  setTimeout(() => row.remove(), NOTE_SECONDS * 1000);
}

/** The heat map over the photo; a worker is asked the first time. */
async function heat(item, node) {
  if (node.dataset.heat) {
    node.dataset.heat = node.dataset.heat === "on" ? "off" : "on";
    return;
  }
  node.dataset.heat = "asked";
  try {
    let found = { pending: true };
    while (found.pending) found = await get(item.heat);
    if (!found.overlay) return note("There is no heat map of this photo.");
    node.querySelector(".frame").append(make("img", { class: "heat", src: found.overlay, alt: "Where the network looked" }));
    node.dataset.heat = "on";
  } catch (error) {
    delete node.dataset.heat;
    note(error.message);
  }
}

/** The admin's own choice of light or dark, which unfold keeps in this browser. */
const theme = localStorage.getItem("_x_adminTheme")?.replaceAll('"', "");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
showKeys();
line.refill();
