// The widget's window: takes a photo, lets its part be framed, shows what the shop has of it. Loaded by /widget/v1.js
// when the button is pressed; calls the API through `api.js`. The page hears of everything by events (docs/widget.md).

import { CropBox } from "../crop.js";
import { carriesFile, photoIn, shrink } from "../photo.js";
import { fill, make } from "../text.js";
import { SearchError, search } from "./api.js";
import { cardOf } from "./cards.js";
import { adoptStyle } from "./style.js";
import { textsOf } from "./texts.js";

const SKELETONS = 8;
const CAMERA = '<path d="M4 8h3l2-3h6l2 3h3v11H4z"/><circle cx="12" cy="13" r="3.5"/>';
const IS_TOUCH = matchMedia("(hover: none) and (pointer: coarse)").matches;
const CROSS = '<path d="M6 6l12 12M18 6L6 18"/>';

/** The window in the shadow root of `host`, closed. */
export function openDialog(host, settings) {
  return new SearchDialog(host, settings);
}

class SearchDialog {
  #asked = { photo: null, region: null };
  #running = null;

  constructor(host, settings) {
    this.host = host;
    this.settings = settings;
    this.texts = textsOf(settings.language);
    this.crop = new CropBox({ texts: this.texts, onChange: (region) => this.#frame(region) });
    this.element = this.#build();
    host.shadowRoot.append(this.element);
    adoptStyle(host.shadowRoot);
    this.crop.adoptStyle();
    this.#listen();
  }

  open() {
    if (this.element.open) return;
    this.element.showModal();
    this.host.tell("open", {});
  }

  close() {
    this.element.close();
  }

  #part(name) {
    return this.element.querySelector(`[data-part="${name}"]`);
  }

  #build() {
    const { texts } = this;
    const dialog = make("dialog", { lang: this.host.lang });
    dialog.setAttribute("aria-labelledby", "title");
    const title = make("h2", { id: "title", textContent: texts.title });
    const close = make("button", { type: "button", className: "round", ariaLabel: texts.close });
    close.append(icon(CROSS));
    close.addEventListener("click", () => this.close());
    const head = make("div", { className: "head" });
    head.append(title, close);
    const main = part("div", "main", { className: "main" });
    main.append(this.#buildSide(), this.#buildResults());
    dialog.append(head, main, make("p", { className: "foot", textContent: texts.powered }));
    return dialog;
  }

  #buildSide() {
    const { texts } = this;
    const side = make("div", { className: "side" });
    const drop = part("div", "drop", { className: "drop" });
    drop.append(icon(CAMERA), make("h3", { textContent: IS_TOUCH ? texts.show : texts.drop }), make("p", { textContent: texts.help }));
    const stage = part("div", "stage", { className: "stage", hidden: true });
    stage.append(this.crop.element);
    const file = part("input", "file", { type: "file", accept: "image/*", hidden: true, ariaLabel: texts.choose });
    const camera = part("input", "camera", { type: "file", accept: "image/*", hidden: true, ariaLabel: texts.take });
    camera.setAttribute("capture", "environment");
    const choose = this.#button("choose", texts.choose, () => file.click(), "first");
    const take = this.#button("take", texts.take, () => camera.click());
    take.hidden = !IS_TOUCH; // elsewhere it would be another file chooser
    const whole = this.#button("whole", texts.whole, () => this.#frame([0, 0, 1, 1]));
    whole.hidden = true;
    const tools = make("div", { className: "tools" });
    tools.append(choose, take, whole);
    const words = part("form", "words", { className: "words", hidden: true });
    const field = make("input", { type: "search", name: "words", maxLength: 500, autocomplete: "off", placeholder: texts.words, ariaLabel: texts.words });
    words.append(field, make("button", { className: "button", textContent: texts.search }));
    side.append(drop, stage, tools, words, file, camera);
    return side;
  }

  #buildResults() {
    const results = part("div", "results", { className: "results", hidden: true });
    const told = part("p", "told", { className: "told" });
    told.setAttribute("role", "status");
    results.append(told, part("ol", "cards", { className: "cards" }));
    return results;
  }

  #button(name, text, onClick, kind = "") {
    const button = part("button", name, { type: "button", className: `button ${kind}`.trim(), textContent: text });
    button.addEventListener("click", onClick);
    return button;
  }

  #listen() {
    const dialog = this.element;
    for (const name of ["file", "camera"]) {
      this.#part(name).addEventListener("change", ({ target }) => {
        if (target.files[0]) this.#take(target.files[0]);
        target.value = "";
      });
    }
    this.#part("words").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    dialog.addEventListener("close", () => {
      this.#running?.abort();
      this.host.tell("close", {});
    });
    dialog.addEventListener("click", (event) => event.target === dialog && this.close()); // the backdrop
    dialog.addEventListener("paste", (event) => this.#given(event, photoIn(event.clipboardData)));
    dialog.addEventListener("dragover", (event) => {
      if (!carriesFile(event)) return;
      event.preventDefault();
      dialog.setAttribute("data-dragging", "");
    });
    dialog.addEventListener("dragleave", () => dialog.removeAttribute("data-dragging"));
    dialog.addEventListener("drop", (event) => {
      dialog.removeAttribute("data-dragging");
      this.#given(event, event.dataTransfer?.files[0]);
    });
  }

  #given(event, photo) {
    if (!photo) return;
    event.preventDefault();
    this.#take(photo);
  }

  async #take(file) {
    const photo = await shrink(file);
    this.#asked = { photo, region: null };
    const { image } = this.crop;
    if (image.src) URL.revokeObjectURL(image.src);
    image.alt = this.texts.your_photo;
    image.src = URL.createObjectURL(photo);
    image.onerror = () => (this.#part("stage").hidden = true); // a kind that only the server may know
    this.crop.region = null;
    this.#part("drop").hidden = true;
    for (const name of ["stage", "words", "results"]) this.#part(name).hidden = false;
    this.#part("main").setAttribute("data-asked", "");
    this.#part("choose").textContent = this.texts.another;
    this.#part("choose").classList.remove("first");
    this.#search();
  }

  #frame(region) {
    this.#asked.region = region;
    this.crop.region = region;
    this.#search();
  }

  async #search() {
    this.#running?.abort();
    this.#running = new AbortController();
    const { signal } = this.#running;
    const { photo, region } = this.#asked;
    const words = this.#part("words").elements.words.value.trim();
    this.#part("whole").hidden = this.crop.isWhole;
    this.#say(this.texts.sending);
    if (!this.#part("cards").querySelector(".card:not(.skeleton)")) this.#part("cards").replaceChildren(...skeletons());
    this.host.tell("search", { words, region });
    try {
      const { site, key } = this.settings;
      const onProgress = (job) => this.#progressed(job);
      this.#found(await search({ site, key, photo, words, region, onProgress, signal }));
    } catch (error) {
      if (signal.aborted) return;
      this.#failed(error);
    }
  }

  #progressed(job) {
    const ahead = (job.queue?.position ?? 1) - 1;
    this.#say(ahead > 0 ? fill(this.texts.ahead, { count: ahead }) : this.texts.looking);
  }

  #found(job) {
    if (job.box && !this.#asked.region) this.crop.region = job.box;
    this.#part("whole").hidden = this.crop.isWhole;
    this.#say(job.hits.length ? this.texts.found[job.verdict] ?? this.texts.found[""] : this.texts.nothing);
    const choose = (hit, position, event) => this.#chosen(hit, position, event);
    const { texts, settings } = this;
    this.#part("cards").replaceChildren(
      ...job.hits.map((hit, place) => cardOf({ hit, position: place + 1, calibrated: job.calibrated, texts, settings, choose })),
    );
    const hits = job.hits.map(({ product, probability, match }) => ({ sku: product.sku, probability, match }));
    this.host.tell("results", { id: job.id, verdict: job.verdict, found: job.found, hits });
  }

  #chosen(hit, position, event) {
    const { sku, id } = hit.product;
    const { probability, match } = hit;
    if (!this.host.tell("select", { sku, id, position, probability, match })) event.preventDefault();
  }

  #failed(error) {
    const code = error instanceof SearchError ? error.code : "other";
    this.#part("cards").replaceChildren();
    this.#say(this.texts.troubles[code] ?? this.texts.troubles.other, true);
    this.host.tell("error", { code, message: error.message });
  }

  #say(text, isTrouble = false) {
    const told = this.#part("told");
    told.toggleAttribute("data-trouble", isTrouble);
    if (told.textContent !== text) told.textContent = text;
  }
}

function part(tag, name, values) {
  const element = make(tag, values);
  element.dataset.part = name;
  return element;
}

function icon(paths) {
  const text = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" aria-hidden="true">${paths}</svg>`;
  return document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
}

function skeletons() {
  return Array.from({ length: SKELETONS }, () => {
    const card = make("li", { className: "card skeleton", ariaHidden: "true" });
    card.append(make("div", { className: "plate" }));
    return card;
  });
}
