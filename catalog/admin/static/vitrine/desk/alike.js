// Look-alikes of the item that is shown: one decision for all that are ticked.

import { post } from "./site.js";
import { make, part } from "./view.js";

const panel = part("alike");
const list = part("alike-list");
let open = null; // the item that it is open for
let borrowed = new Set(); // claimed for this panel alone: they go back when it closes

/** Ids of the items that the next decision is for, beside the one that is shown. */
export function alikeChosen() {
  return [...list.querySelectorAll("input:checked")].map((box) => box.value);
}

/** What was claimed beside the line and is in no decision goes back. */
export function closeAlike(decided = []) {
  const back = [...borrowed].filter((id) => !decided.includes(id));
  if (back.length) post("release", { items: back }).catch(() => {}); // if not, the claims lapse
  open = null;
  borrowed = new Set();
  panel.hidden = true;
  list.replaceChildren();
}

/** Another item is shown: what was ticked was ticked for the one before. */
export function keepAlikeFor(item) {
  if (open && open.id !== item?.id) closeAlike();
}

/** Open it for an item, or close it; `inLine` are items that the desk has anyway. What another desk has is left out. */
export async function toggleAlike(item, inLine) {
  if (open) return closeAlike();
  if (!item.alike.length) return undefined;
  open = item;
  const ids = item.alike.map((each) => each.id);
  const claimed = new Set((await post("claim", { items: ids })).items);
  const lent = [...claimed].filter((id) => !inLine.includes(id));
  if (open !== item) return post("release", { items: lent });
  borrowed = new Set(lent);
  list.replaceChildren(...item.alike.filter((each) => claimed.has(each.id)).map(tick));
  count();
  panel.hidden = false;
  return undefined;
}

list.addEventListener("change", count);

function count() {
  const number = list.querySelectorAll("input:checked").length;
  part("alike-count").textContent = number ? `${number + 1} photos at once.` : "Only this photo so far.";
}

function tick(each) {
  const box = make("input", { type: "checkbox", value: each.id, checked: each.ticked });
  return make("li", {}, make("label", {}, make("img", { src: each.photo, alt: "A photo that looks alike" }), box));
}
