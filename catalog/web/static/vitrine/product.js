// One product opened: its photo and price at once, then why it was found (with heat maps) and what is similar, each as
// soon as it is there. What is known already is read from its card.

import { follow, pause } from "./follow.js";
import { fill, make } from "./text.js";

const SIMILAR = 6;
const AGAIN_MS = 400;

export class ProductWindow {
  #doing = null;
  #found = null; // the variant that the search found

  /** `post` sends a search; `onSimilar` is told which product everything should now be like. */
  constructor({ element, texts, post, onSimilar }) {
    this.element = element;
    this.texts = texts;
    this.post = post;
    this.onSimilar = onSimilar;
    element.addEventListener("close", () => this.#doing?.abort());
    element.addEventListener("click", (event) => {
      const heat = event.target.closest(".heat");
      if (heat) heat.setAttribute("aria-pressed", String(heat.getAttribute("aria-pressed") !== "true"));
      const variant = event.target.closest(".variant");
      if (variant) this.#choose(variant);
    });
  }

  /** Show the product of a card that the search at this address found. */
  open(card, address) {
    this.#doing?.abort();
    this.#doing = new AbortController();
    const { signal } = this.#doing;
    this.#show(card);
    this.element.showModal();
    this.element.scrollTop = 0;
    const troubled = (error) => signal.aborted || console.warn(error);
    this.#explain(card, address, signal).catch(troubled);
    this.#similar(card, signal).catch(troubled);
  }

  #part(name) {
    return this.element.querySelector(`[data-part="${name}"]`);
  }

  #show(card) {
    const text = (which) => card.querySelector(which)?.textContent.trim() ?? "";
    this.#part("product-photo").src = card.querySelector("img").src;
    this.#part("product-photo").alt = text(".title");
    this.#part("product-brand").textContent = text(".brand");
    this.#part("product-title").textContent = text(".title");
    this.#part("product-price").textContent = text(".price").replace(/\s+/g, " ");
    this.#part("product-sku").textContent = card.dataset.sku;
    this.#part("product-score").replaceChildren(
      card.querySelector(".score").cloneNode(true),
      card.querySelector("template.of-score").content.cloneNode(true),
    );
    this.#leadTo(card.querySelector("a.to-shop")?.href);
    const variants = card.querySelector("template.of-variants");
    this.#part("variants").hidden = !variants;
    this.#part("variants-list").replaceChildren(...(variants ? [variants.content.cloneNode(true)] : []));
    this.#found = this.#part("variants-list").querySelector("[aria-pressed=true]");
    this.element.removeAttribute("data-other");
  }

  /** Look at another variant. Scores and reasons are those of the one that was found, so they go meanwhile. */
  #choose(variant) {
    for (const each of this.element.querySelectorAll(".variant")) each.setAttribute("aria-pressed", String(each === variant));
    const photo = variant.querySelector("img");
    if (photo) this.#part("product-photo").src = photo.src;
    this.#part("product-photo").alt = this.#part("product-title").textContent = variant.dataset.title;
    for (const name of ["brand", "price", "sku"]) this.#part(`product-${name}`).textContent = variant.dataset[name];
    this.#leadTo(variant.dataset.shop);
    this.element.toggleAttribute("data-other", variant !== this.#found);
  }

  /** The way to the product's page in the shop, where it has one; the server has judged the address. */
  #leadTo(address) {
    const link = this.#part("product-shop");
    link.hidden = !address;
    if (address) link.href = address;
    else link.removeAttribute("href");
  }

  async #explain(card, address, signal) {
    const place = this.#part("explanation");
    place.hidden = !("explained" in card.dataset);
    if (place.hidden) return;
    place.replaceChildren(make("p", { className: "soft explaining", textContent: this.texts.explaining }));
    for (;;) {
      const response = await fetch(`${address}/why/${card.dataset.product}`, { signal });
      const body = await response.json();
      if (body.ended) {
        place.innerHTML = body.html;
        return;
      }
      await pause(AGAIN_MS, signal);
    }
  }

  async #similar(card, signal) {
    const [section, list] = [this.#part("similar"), this.#part("similar-list")];
    section.hidden = false;
    list.replaceChildren(...Array.from({ length: SIMILAR }, () => make("li", { className: "skeleton plate" })));
    const asked = new FormData();
    const form = document.querySelector("form.layout");
    for (const name of ["merchant", "csrfmiddlewaretoken"]) asked.set(name, form.elements[name].value);
    asked.set("like", card.dataset.product);
    const job = await this.post(asked, signal);
    const body = job.ended ? job : await follow({ poll: job.address, events: job.events, hasEnded: (each) => each.ended, onProgress() {}, signal });
    const found = new DOMParser().parseFromString(body.html, "text/html").querySelectorAll(".card");
    section.hidden = !found.length;
    list.replaceChildren(...[...found].slice(0, SIMILAR).map((each) => this.#small(each)));
  }

  #small(card) {
    const [title, price] = [".title", ".price"].map((which) => card.querySelector(which).textContent.trim());
    const photo = card.querySelector("img").getAttribute("src");
    const plate = make("span", { className: "plate" });
    plate.append(make("img", { src: photo, alt: "", width: 160, height: 160 }));
    const button = make("button", { type: "button", className: "open" });
    button.setAttribute("aria-label", fill(this.texts.similar_to, { name: title }));
    button.append(plate, make("span", { className: "title", textContent: title }), make("span", { className: "price", textContent: price.replace(/\s+/g, " ") }));
    button.addEventListener("click", () => {
      this.element.close();
      this.onSimilar({ id: card.dataset.product, name: title, photo });
    });
    const item = make("li");
    item.append(button);
    return item;
  }
}
