// The search page: takes a photo (drop, choose, paste, camera), words, filters and examples, sends them, follows the
// job, shows the answer that the server rendered. What is asked lies in the form and in `asked`, nowhere else.

import { HAS_CAMERA_APP, takePhoto } from "./camera.js";
import { CropBox } from "./crop.js";
import { Filters } from "./filters.js";
import { follow } from "./follow.js";
import { carriesFile, photoIn, shrink } from "./photo.js";
import { ProductWindow } from "./product.js";
import { fill, make } from "./text.js";

const AT_ONCE = 24; // cards that are shown before one asks for more
const SKELETONS = 12;

const main = document.querySelector("main.search");
const form = main.querySelector("form.layout");
const { texts, facets, search: earlier } = JSON.parse(document.getElementById("start").textContent);
const part = (name) => document.querySelector(`[data-part="${name}"]`);

/** What is asked beside the form's fields. `token` names the last search, whose photo need not be sent again. */
const asked = { photo: null, token: "", region: null, like: [], unlike: [] };
let running = null;
let shown = inAddress(); // the search that the page shows, by its name in the address

const crop = new CropBox({ texts, onChange: (region) => frame(region) });
const filters = new Filters({ element: part("filters"), texts, facets });
const product = new ProductWindow({ element: part("product"), texts, post, onSimilar: (found) => onlyLike(found) });

start();

function start() {
  part("stage-photo").append(crop.element);
  crop.adoptStyle();
  takePhotos();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    closeSheet();
    search();
  });
  form.addEventListener("change", (event) => {
    if (event.target.closest("[data-part=filters]")) refined();
    else if (["sort", "photo_weight"].includes(event.target.name) && main.dataset.phase !== "idle") search();
  });
  form.addEventListener("input", weighing);
  part("answer").addEventListener("click", (event) => act(event));
  part("merchant")?.addEventListener("change", ({ target }) => {
    location.assign(`${target.dataset.address}?merchant=${encodeURIComponent(target.value)}`);
  });
  for (const dialog of document.querySelectorAll("dialog")) closeable(dialog);
  part("open-filters").addEventListener("click", openSheet);
  part("sheet").addEventListener("close", () => part("filters-home").append(part("filters")));
  part("apply").addEventListener("click", closeSheet);
  part("reset").addEventListener("click", () => {
    filters.reset();
    refined();
  });
  window.addEventListener("popstate", () => {
    if (inAddress() !== shown) location.reload(); // not where only the fragment changed ("Skip to the results")
  });
  if (earlier) restore(earlier);
}

// The photo

function takePhotos() {
  const input = document.getElementById("photo");
  const taken = ({ target }) => {
    if (target.files[0]) take(target.files[0]);
    target.value = ""; // the same file may be chosen again
  };
  input.addEventListener("change", taken);
  part("camera-input").addEventListener("change", taken);
  part("choose").addEventListener("click", () => input.click());
  part("camera").addEventListener("click", () => photograph());
  part("whole").addEventListener("click", () => frame([0, 0, 1, 1]));
  part("clear").addEventListener("click", () => {
    showPhoto(null);
    input.focus();
    if (hasQuestion()) search();
    else idle();
  });
  document.addEventListener("paste", (event) => {
    const photo = photoIn(event.clipboardData);
    if (photo) take(photo);
  });
  acceptDrops();
}

function acceptDrops() {
  let depth = 0; // dragenter and dragleave also come from every child
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    main.toggleAttribute("data-dragging", depth > 0);
  };
  document.addEventListener("dragenter", (event) => carriesFile(event) && mark(1));
  document.addEventListener("dragleave", (event) => carriesFile(event) && mark(-1));
  document.addEventListener("dragover", (event) => carriesFile(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    mark(-depth);
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}

async function photograph() {
  if (HAS_CAMERA_APP) {
    part("camera-input").click();
    return;
  }
  const photo = await takePhoto(part("camera-window"), texts);
  if (photo) take(photo);
}

async function take(file) {
  const photo = await shrink(file);
  const address = URL.createObjectURL(photo);
  const ahead = Object.assign(new Image(), { src: address });
  await ahead.decode().catch(() => {}); // its size is known before anything makes room for it
  showPhoto(photo, address);
  search();
}

function showPhoto(photo, address = photo && URL.createObjectURL(photo)) {
  Object.assign(asked, { photo, token: "", region: null, like: [], unlike: [] });
  showExamples();
  main.toggleAttribute("data-with-photo", Boolean(photo));
  if (crop.image.src) URL.revokeObjectURL(crop.image.src);
  crop.image.removeAttribute("src");
  crop.region = null;
  part("stage").hidden = !photo;
  document.getElementById("photo").hidden = Boolean(photo); // its label is gone then; "Another photo" opens it
  part("clear").hidden = part("stage-help").hidden = !photo;
  part("stage-name").hidden = true;
  crop.element.hidden = false;
  framed();
  weighing();
  if (!photo) return;
  // A format that this browser cannot show (HEIC, TIFF) is shown by its name; the server says whether it can use it.
  crop.image.onerror = () => {
    crop.element.hidden = part("stage-help").hidden = true;
    part("stage-name").hidden = false;
  };
  part("stage-name").textContent = photo.name;
  crop.image.alt = fill(texts.your_photo, { name: photo.name });
  crop.image.src = address;
}

function frame(region) {
  asked.region = region;
  crop.region = region;
  framed();
  search();
}

function framed() {
  part("whole").hidden = !asked.photo || crop.isWhole;
}

// The question

function hasQuestion() {
  return Boolean(asked.photo || asked.like.length || form.elements.words.value.trim());
}

function question() {
  const data = new FormData(form);
  if (asked.photo && asked.token) data.set("again", asked.token);
  else if (asked.photo) data.set("photo", asked.photo);
  if (asked.photo && asked.region) data.set("region", asked.region.map((at) => at.toFixed(4)).join(","));
  for (const name of ["like", "unlike"]) for (const example of asked[name]) data.append(name, example.id);
  if (part("weigh").hidden) data.delete("photo_weight");
  else data.set("photo_weight", (1 - data.get("photo_weight")).toFixed(2)); // the slider's left end is the photo
  return data;
}

function weighing() {
  const hasPicture = asked.photo || asked.like.length;
  part("weigh").hidden = !(hasPicture && form.elements.words.value.trim() && main.dataset.phase !== "idle");
}

function refined() {
  labelled();
  if (main.dataset.phase !== "idle" && hasQuestion()) search();
}

function labelled() {
  const count = filters.count;
  part("filters-label").textContent = count ? fill(texts.filters_set, { count }) : texts.filters;
}

/** Put what was asked before into the form. */
function fillIn({ fields, region, like, unlike }) {
  const { words, sort, photo_weight } = form.elements;
  words.value = fields.words?.[0] ?? "";
  sort.value = fields.sort[0];
  photo_weight.value = 1 - (fields.photo_weight?.[0] ?? 0.5);
  filters.set(fields);
  Object.assign(asked, { region, like, unlike });
  crop.region = region;
  labelled();
  showExamples();
}

function openSheet() {
  part("sheet-body").append(part("filters"));
  part("sheet").showModal();
}

function closeSheet() {
  if (part("sheet").open) part("sheet").close();
}

// Examples: more like this, not like that

function act(event) {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (!act) return;
  const card = event.target.closest(".card");
  if (act === "more") showMore(event.target.closest("button"));
  else if (act === "open") product.open(card, part("answer").dataset.address);
  else example(act, card);
}

function example(kind, card) {
  const found = { id: card.dataset.product, name: card.querySelector(".title").textContent, photo: card.querySelector("img").src };
  for (const name of ["like", "unlike"]) asked[name] = asked[name].filter((each) => each.id !== found.id);
  asked[kind] = [...asked[kind], found];
  showExamples();
  search();
}

function onlyLike(found) {
  showPhoto(null);
  form.elements.words.value = "";
  asked.like = [found];
  showExamples();
  search();
}

function showExamples() {
  const list = part("examples");
  list.replaceChildren(
    ...["like", "unlike"].flatMap((kind) =>
      asked[kind].map((example) => {
        const remove = make("button", { type: "button", className: "forget", textContent: "×" });
        remove.setAttribute("aria-label", fill(texts.forget, { name: example.name }));
        remove.addEventListener("click", () => {
          asked[kind] = asked[kind].filter((each) => each !== example);
          showExamples();
          part("answer").focus({ preventScroll: true });
          if (hasQuestion()) search();
          else idle();
        });
        const item = make("li", { className: "example" });
        item.dataset.kind = kind;
        const words = make("span");
        words.append(make("b", { textContent: texts[kind] }), ` ${example.name}`);
        item.append(make("img", { src: example.photo, alt: "", width: 36, height: 36 }), words, remove);
        return item;
      }),
    ),
  );
  list.hidden = !list.children.length;
  weighing();
}

// The way of a search

/** Ask what stands on the page now; whatever was asked before is not waited for. Several calls at once are one. */
function search() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  setTimeout(() => signal.aborted || run(signal));
}

async function run(signal) {
  try {
    busy();
    let job = await post(question(), signal, progressed);
    if (job.code === "photo_gone" && asked.token) {
      asked.token = ""; // kept no longer: send it again
      job = await post(question(), signal, progressed);
    }
    if (job.token) {
      asked.token = job.token;
      putInAddress(job.token);
    }
    answered(job.ended ? job : await followed(job, signal), job.address);
  } catch {
    if (!signal.aborted) cutOff();
  }
}

function cutOff() {
  answered({ html: "", said: `${texts.unreachable_title} ${texts.unreachable}` });
  part("answer").replaceChildren(trouble(texts.unreachable_title, texts.unreachable));
}

/** Begin with the search that the page's address names: its question in the fields, its answer where answers are. */
async function restore({ question, ...job }) {
  running = new AbortController();
  const { signal } = running;
  try {
    busy();
    if (question) {
      const photo = question.photo ? await fetched(question.photo, signal) : null;
      showPhoto(photo);
      fillIn(question);
      if (photo) asked.token = job.token;
    }
    answered(job.ended ? job : await followed(job, signal), job.address);
  } catch {
    if (!signal.aborted) cutOff();
  }
}

/** The photo of an earlier search, as if it had been chosen now; null where it is kept no more. */
async function fetched(address, signal) {
  const response = await fetch(address, { signal });
  return response.ok ? new File([await response.blob()], history.state?.photo ?? "photo.webp") : null;
}

// The address names the search that is shown, so that a reload, Back and Forward find it again. Nobody else's browser
// is answered by that name.

function inAddress() {
  return new URLSearchParams(location.search).get("search") ?? "";
}

function putInAddress(token) {
  if (token === shown) return;
  shown = token;
  const address = new URL(location);
  address.hash = "";
  if (token) address.searchParams.set("search", token);
  else address.searchParams.delete("search");
  history.pushState({ photo: asked.photo?.name }, "", address);
  document.querySelector(".languages [name=next]").value = address.pathname + address.search;
}

function followed(job, signal) {
  stepped(job);
  return follow({ poll: job.address, events: job.events, hasEnded: (body) => body.ended, onProgress: stepped, signal });
}

/** Send a search; the server's first answer. XMLHttpRequest, because fetch does not tell how far an upload has come. */
function post(data, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    if (onProgress) {
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) onProgress(event.loaded / event.total);
      });
    }
    request.addEventListener("load", () => (request.response ? resolve(request.response) : reject(new Error("no answer"))));
    request.addEventListener("error", () => reject(new Error("network")));
    signal?.addEventListener("abort", () => {
      request.abort();
      reject(signal.reason);
    });
    request.send(data);
  });
}

function busy() {
  const answer = part("answer");
  const keeps = answer.querySelector(".card:not(.skeleton)"); // what was found before stays until there is more
  phase("busy");
  say(asked.photo && !asked.token ? texts.uploading : texts.searching);
  notice("");
  main.toggleAttribute("data-refining", Boolean(keeps));
  if (!keeps) answer.replaceChildren(skeletons());
  answer.setAttribute("aria-busy", "true");
}

function progressed(share) {
  if (!asked.photo || asked.token) return;
  part("bar").style.setProperty("--share", share);
  part("bar").setAttribute("aria-valuenow", Math.round(share * 100));
}

function stepped(job) {
  part("bar").style.removeProperty("--share");
  part("bar").removeAttribute("aria-valuenow");
  say(job.ahead ? fill(texts.ahead, { count: job.ahead }) : texts[job.step]);
  notice(job.notice);
}

function say(text) {
  if (part("step").textContent === text) return;
  part("step").textContent = part("status").textContent = text;
}

function notice(text) {
  const line = part("notice");
  if (text && line.textContent !== text) part("status").textContent = text;
  line.textContent = text ?? "";
  line.hidden = !text;
}

function answered(body, address = "") {
  phase("answered");
  notice("");
  const answer = part("answer");
  answer.innerHTML = body.html;
  answer.dataset.address = address;
  answer.setAttribute("aria-busy", "false");
  part("status").textContent = body.said;
  part("sort").hidden = !answer.querySelector(".card");
  foldCards();
  if (body.facets) filters.counted(body.facets);
  if (body.box && !asked.region) crop.region = body.box;
  framed();
  weighing();
}

function phase(name) {
  main.dataset.phase = name;
  main.removeAttribute("data-refining");
  part("progress").hidden = name !== "busy";
}

function idle() {
  running?.abort();
  putInAddress("");
  phase("idle");
  part("answer").replaceChildren();
  part("answer").setAttribute("aria-busy", "false");
  part("status").textContent = part("step").textContent = "";
  part("sort").hidden = true;
  weighing();
}

// The answer

function foldCards() {
  const folded = [...part("answer").querySelectorAll(".card")].slice(AT_ONCE);
  if (!folded.length) return;
  for (const card of folded) card.hidden = true;
  const button = make("button", { type: "button", className: "button quiet more", textContent: fill(texts.more, { count: folded.length }) });
  button.dataset.act = "more";
  part("answer").append(button);
}

function showMore(button) {
  const folded = [...part("answer").querySelectorAll(".card[hidden]")];
  for (const card of folded) card.hidden = false;
  button.remove();
  folded[0].querySelector("button").focus();
}

function skeletons() {
  const list = make("div", { className: "cards waiting", ariaHidden: "true" });
  for (let count = 0; count < SKELETONS; count += 1) {
    const card = make("div", { className: "card skeleton" });
    card.append(...["plate", "line", "line long", "line short"].map((className) => make("div", { className })));
    list.append(card);
  }
  return list;
}

function trouble(title, message) {
  const box = make("div", { className: "trouble" });
  box.setAttribute("role", "alert");
  box.append(make("h2", { textContent: title }), make("p", { textContent: message }));
  return box;
}

function closeable(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close(); // the backdrop is the dialog
  });
}
