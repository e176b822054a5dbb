// One item as nodes, built ahead and off the page. Every text is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export function part(name, within = document) {
  return within.querySelector(`[data-part="${name}"]`);
}

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
}

/** The photo on the left, the numbered candidates on the right. */
export function itemNode(item) {
  const node = make("article", { class: "item", "data-item": item.id }, photoNode(item), sideNode(item));
  node.dataset.box = item.box ? "on" : "none";
  return node;
}

/** Decode its photos now; a photo that cannot be had shows its placeholder later. */
export function warm(node) {
  if (node.dataset.warm) return;
  node.dataset.warm = "yes";
  for (const image of node.querySelectorAll("img")) image.decode().catch(() => {});
}

function photoNode(item) {
  const image = make("img", { class: "shot", src: item.photo, alt: "The photo to be recognised", decoding: "sync" });
  const frame = make("div", { class: "frame" }, image);
  if (item.box && item.width) frame.append(boxNode(item));
  const name = make("figcaption", {}, make("span", { class: "name" }, item.name || "Photo deleted"), make("span", { class: "soft" }, item.shop));
  return make("figure", { class: "photo" }, frame, name);
}

/** As wide and high as the photo, so that it lies over it however the photo is fitted in. */
function boxNode({ box: [left, top, right, bottom], width, height }) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "box");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const rectangle = document.createElementNS(SVG, "rect");
  const places = { x: left * width, y: top * height, width: (right - left) * width, height: (bottom - top) * height };
  for (const [name, value] of Object.entries(places)) rectangle.setAttribute(name, value);
  svg.append(rectangle);
  return svg;
}

function sideNode(item) {
  const head = make(
    "header",
    { class: "why" },
    make(
      "p",
      { class: "labels" },
      make("span", { class: "label", "data-verdict": item.verdict }, item.verdict),
      item.lane ? make("span", { class: "label" }, item.lane) : "",
      item.calibrated ? "" : make("span", { class: "label", title: "The scores order the candidates, they are no probabilities." }, "Not calibrated"),
    ),
    make("p", { class: "reason" }, item.reason || "The machine gave no reason."),
  );
  if (!item.candidates.length) {
    const none = make("p", { class: "none" }, "Nothing in the catalogue comes near. Search for it, make it a new product, or reject the photo.");
    return make("section", { class: "side" }, head, none);
  }
  const grid = make("ol", { class: "grid" });
  item.candidates.forEach((candidate, at) => grid.append(make("li", {}, choiceNode(candidate, at + 1))));
  return make("section", { class: "side" }, head, grid);
}

function choiceNode(candidate, number) {
  const meter = candidate.part === null ? "" : make("meter", { min: 0, max: 1, value: candidate.part, "aria-hidden": "true" });
  const price = candidate.price + (candidate.in_stock ? "" : `${candidate.price ? " · " : ""}out of stock`);
  return make(
    "button",
    { type: "button", class: "choice", "data-choice": number, title: candidate.why },
    make("span", { class: "plate" }, make("img", { src: candidate.photo, alt: "", decoding: "sync" }), make("kbd", {}, String(number)), candidate.badge ? make("span", { class: "badge", "data-match": candidate.match }, candidate.badge) : ""),
    make(
      "span",
      { class: "facts" },
      make("span", { class: "title" }, candidate.title),
      make("span", { class: "soft line" }, [candidate.brand, candidate.sku].filter(Boolean).join(" · ")),
      make("span", { class: "price" }, make("span", {}, price || "No price"), make("span", { class: "score", title: candidate.score_label }, meter, make("b", {}, candidate.score))),
      make("span", { class: "because line" }, candidate.because),
    ),
  );
}

/** One of the products found by words. */
export function foundNode(product, at) {
  const image = product.photo ? make("img", { src: product.photo, alt: "" }) : make("span", { class: "blank" });
  return make(
    "li",
    { role: "option", "data-at": at, "aria-selected": String(at === 0) },
    image,
    make("span", {}, make("b", {}, product.title), make("span", { class: "soft" }, [product.brand, product.sku, product.price].filter(Boolean).join(" · "))),
  );
}
