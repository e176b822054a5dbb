// What the desk asks in a window of its own: which product by words, what a new one is called, where a photo is split.

import { get } from "./site.js";
import { foundNode, make, part } from "./view.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 0.02; // of the photo; less is a slip of the hand
const PRESETS = {
  columns: [[0, 0, 0.5, 1], [0.5, 0, 1, 1]],
  rows: [[0, 0, 1, 0.5], [0, 0.5, 1, 1]],
  none: [],
};

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

/** Search the item's catalogue by words; `chosen(item, product)` with the one that was picked. */
export function prepareSearch(dialog, chosen) {
  const input = dialog.querySelector("input");
  const list = part("found", dialog);
  let item, timer;
  let products = [];
  let listed = ""; // the words whose products are in the list
  let asked = 0;
  const mark = (at) => [...list.children].forEach((row, place) => row.setAttribute("aria-selected", String(place === at)));
  const marked = () => [...list.children].findIndex((row) => row.getAttribute("aria-selected") === "true");
  const pick = (at) => {
    if (!products[at]) return;
    dialog.close();
    chosen(item, products[at]);
  };
  const draw = (found, empty = "") => {
    products = found;
    list.replaceChildren(...found.map(foundNode));
    list.dataset.empty = empty;
  };
  /** Whether the list now says what was asked for: nobody has typed on, nor closed the window. */
  const look = async () => {
    clearTimeout(timer);
    const mine = ++asked;
    const words = input.value;
    const found = await get(`${item.id}/products`, { words }).catch(() => null);
    if (mine !== asked) return false;
    listed = found ? words : null; // what failed is asked again
    if (found) draw(found.products, words.trim() && !found.products.length ? "Nothing found." : "");
    else draw([], "The site does not answer.");
    return found !== null;
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 120);
  });
  input.addEventListener("keydown", async (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && products.length) mark((marked() + step + products.length) % products.length);
    if (event.key === "Enter") {
      event.preventDefault();
      if (input.value === listed || (await look())) pick(Math.max(marked(), 0));
    } else if (step) event.preventDefault();
  });
  dialog.addEventListener("close", () => {
    clearTimeout(timer);
    asked += 1; // what is on its way comes too late
  });
  list.addEventListener("click", (event) => pick(Number(event.target.closest("li")?.dataset.at ?? -1)));
  return (shown) => {
    item = shown;
    input.value = listed = "";
    draw([]);
    dialog.showModal();
  };
}

/** The form of a new product, filled in with what is known; `made(item, values)` with what was sent. */
export function prepareNew(dialog, made) {
  const form = dialog.querySelector("form");
  const categories = dialog.querySelector("datalist");
  let item;
  /** The categories of the item's own shop are suggested; without them any can be typed. */
  const suggest = async (shown) => {
    categories.replaceChildren();
    const found = await get(`${shown.id}/categories`).catch(() => ({ categories: [] }));
    if (shown === item) categories.replaceChildren(...found.categories.map((name) => make("option", { value: name })));
  };
  form.addEventListener("submit", () => made(item, Object.fromEntries(new FormData(form))));
  return (shown) => {
    item = shown;
    for (const [name, value] of Object.entries(item.form)) form.elements[name].value = value;
    suggest(item);
    dialog.showModal();
    const missing = ["title", "sku"].find((name) => !form.elements[name].value);
    form.elements[missing ?? "title"].select();
    form.elements[missing ?? "title"].focus();
  };
}

/** Boxes drawn over the photo; `split(item, parts)` with at least two. */
export function prepareSplit(dialog, split) {
  const canvas = part("canvas", dialog);
  const image = canvas.querySelector("img");
  const svg = canvas.querySelector("svg");
  const send = dialog.querySelector("[type=submit]");
  let item;
  let parts = [];
  let start = null;
  const draw = (more) => {
    svg.replaceChildren(...[...parts, ...(more ? [more] : [])].map(rectangle));
    send.disabled = parts.length < 2;
  };
  const at = (event) => {
    const place = canvas.getBoundingClientRect();
    const within = (value) => Math.min(Math.max(value, 0), 1);
    return [within((event.clientX - place.left) / place.width), within((event.clientY - place.top) / place.height)];
  };
  const box = ([x, y]) => [Math.min(x, start[0]), Math.min(y, start[1]), Math.max(x, start[0]), Math.max(y, start[1])];
  canvas.addEventListener("pointerdown", (event) => {
    start = at(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => start && draw(box(at(event))));
  canvas.addEventListener("pointerup", (event) => {
    const drawn = start && box(at(event));
    start = null;
    if (drawn && drawn[2] - drawn[0] >= LEAST && drawn[3] - drawn[1] >= LEAST) parts.push(drawn);
    draw();
  });
  for (const button of dialog.querySelectorAll("[data-preset]")) {
    button.addEventListener("click", () => {
      parts = PRESETS[button.dataset.preset].slice();
      draw();
      if (parts.length) send.focus();
    });
  }
  dialog.querySelector("form").addEventListener("submit", () => split(item, parts));
  return (shown) => {
    item = shown;
    parts = [];
    image.src = item.photo;
    draw();
    dialog.showModal();
  };
}

function rectangle([left, top, right, bottom]) {
  const node = document.createElementNS(SVG, "rect");
  const places = { x: left, y: top, width: right - left, height: bottom - top };
  for (const [name, value] of Object.entries(places)) node.setAttribute(name, value);
  return node;
}
