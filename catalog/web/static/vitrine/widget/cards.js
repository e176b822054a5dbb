// One hit of the API as a card of the widget: photo, brand, title, price, how probable it is and why.

import { fill, make } from "../text.js";

/** A list item; `choose(hit, position, event)` hears a click on it, and may prevent the way to the product's page. */
export function cardOf({ hit, position, calibrated, texts, settings, choose }) {
  const { product } = hit;
  const address = addressOf(product, settings.productUrl);
  const body = address ? make("a", { href: address }) : make("div", { className: "plain" });
  if (address) body.addEventListener("click", (event) => choose(hit, position, event));
  const plate = make("span", { className: "plate" });
  plate.append(make("img", { src: hit.thumbnail_url ?? "", alt: "", loading: "lazy", decoding: "async", width: 320, height: 320 }));
  if (texts[hit.match]) plate.append(make("span", { className: "badge", textContent: texts[hit.match] }));
  body.append(
    plate,
    make("span", { className: "brand", textContent: product.brand || "\u00a0" }),
    make("span", { className: "title", textContent: product.title }),
    priceOf(product, texts, settings.language),
  );
  const item = make("li", { className: "card" });
  item.append(body, scoreOf(hit, calibrated, texts), whyOf(hit, texts));
  item.dataset.sku = product.sku;
  return item;
}

/** Where the shop shows a product: `data-product-url` with {sku} filled in, else its own attribute `url`, else nowhere. */
function addressOf(product, template) {
  const address = template?.replaceAll("{sku}", encodeURIComponent(product.sku)) ?? product.attributes.url;
  if (typeof address !== "string" || !URL.canParse(address, document.baseURI)) return "";
  return /^https?:$/.test(new URL(address, document.baseURI).protocol) ? address : "";
}

function priceOf(product, texts, language) {
  const price = make("span", { className: "price", textContent: money(product, language) });
  if (!product.in_stock) price.append(make("span", { className: "soft", textContent: ` · ${texts.out_of_stock}` }));
  return price;
}

function money({ price, currency }, language) {
  if (price === null) return "\u00a0";
  return new Intl.NumberFormat(language === "zh" ? "zh-Hans" : "en", { style: "currency", currency }).format(price);
}

function scoreOf(hit, calibrated, texts) {
  const is = hit.probability !== null && calibrated;
  return make("span", { className: "score", textContent: is ? fill(texts.match, { part: percent(hit.probability) }) : "" });
}

/** Never a false "100 %" or "0 %", because nothing here is certain. */
function percent(probability) {
  if (probability > 0.99) return "> 99 %";
  if (probability < 0.01) return "< 1 %";
  return `${Math.round(probability * 100)} %`;
}

function whyOf(hit, texts) {
  const list = make("dl");
  for (const name of ["image", "fused", "text"]) {
    if (hit.scores[name] === null) continue;
    const row = make("div");
    row.append(make("dt", { textContent: texts[`why_${name}`] }), make("dd", { textContent: hit.scores[name].toFixed(2) }));
    list.append(row);
  }
  const details = make("details");
  details.append(make("summary", { textContent: texts.why, ariaLabel: `${texts.why} ${hit.product.title}` }), list);
  return details;
}
