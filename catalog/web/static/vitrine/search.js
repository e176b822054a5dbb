// The search-by-photo page: takes a photo (drop, choose, paste, camera) and words, sends them, follows the job, shows
// the answer that the server rendered. The form is the only state: what is in it is what is searched.

const main = document.querySelector("main.search");
const form = main.querySelector("form.composer");
const STEPS = ["uploading", "waiting", "searching", "done"];
const SAID = { uploading: "Uploading your photo.", waiting: "Waiting for a worker.", searching: "Searching." };
const AGAIN_MS = 1500; // pause before asking again after the network failed
const PATIENCE = 5; // failures in a row before giving up

if (form) start();

function part(name) {
  return main.querySelector(`[data-part="${name}"]`);
}

function start() {
  const input = form.elements.photo;
  let running = null;

  const search = () => {
    running?.abort();
    running = new AbortController();
    run(running.signal);
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  input.addEventListener("change", () => {
    showPhoto(input.files[0]);
    if (input.files[0]) search();
  });
  part("camera-input").addEventListener("change", (event) => take(event.target.files[0]));
  part("camera").addEventListener("click", () => part("camera-input").click());
  part("choose").addEventListener("click", () => input.click());
  part("clear").addEventListener("click", () => {
    input.value = "";
    showPhoto(null);
    input.focus();
  });
  form.addEventListener("change", (event) => {
    if (event.target.dataset.part === "merchant") {
      location.assign(`${event.target.dataset.address}?merchant=${encodeURIComponent(event.target.value)}`);
    } else if (event.target.closest(".filters-bar")) {
      countFilters();
      if (main.dataset.phase === "answered" && hasQuestion()) search();
    }
  });
  acceptDrops(take);
  document.addEventListener("paste", (event) => {
    const photo = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/"));
    if (photo) take(photo);
  });
  part("filters").open = window.matchMedia("(min-width: 48rem)").matches;
  countFilters();

  function take(file) {
    if (!file) return;
    const carrier = new DataTransfer();
    carrier.items.add(file);
    input.files = carrier.files;
    showPhoto(file);
    search();
  }
}

function hasQuestion() {
  return form.elements.photo.files.length > 0 || form.elements.words.value.trim() !== "";
}

function acceptDrops(take) {
  let depth = 0; // dragenter and dragleave also come from every child
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
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
    take(event.dataTransfer.files[0]);
  });
}

function showPhoto(file) {
  const preview = part("preview");
  const name = part("file-name");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.hidden = name.hidden = true;
  main.toggleAttribute("data-with-photo", Boolean(file));
  part("clear").hidden = !file;
  if (!file) {
    preview.removeAttribute("src");
    return;
  }
  // A format that this browser cannot show (HEIC, TIFF) is shown by its name; the server says whether it can use it.
  preview.onload = () => (preview.hidden = false);
  preview.onerror = () => (name.hidden = false);
  preview.alt = `Your photo: ${file.name}`;
  name.textContent = file.name;
  preview.src = URL.createObjectURL(file);
}

function countFilters() {
  const fields = [...part("filters").querySelectorAll("select:not([data-part]), input:not([type=hidden])")];
  const set = fields.filter((field) => (field.type === "checkbox" ? field.checked : field.name !== "currency" && field.value));
  const count = part("filters-count");
  count.textContent = set.length;
  count.hidden = set.length === 0;
}

async function run(signal) {
  try {
    setPhase("busy");
    setStep(form.elements.photo.files.length ? "uploading" : "waiting");
    setNotice("");
    part("answer").replaceChildren(...skeletons());
    const job = await send(signal);
    await follow(job, signal);
  } catch (error) {
    if (signal.aborted) return;
    show({ html: "" });
    part("answer").replaceChildren(trouble("The site cannot be reached.", "Check your connection and search again."));
  }
}

// XMLHttpRequest, because fetch does not tell how far an upload has come.
function send(signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) setPercent(Math.round((event.loaded / event.total) * 100));
    });
    request.addEventListener("load", () => (request.response ? resolve(request.response) : reject(new Error("no answer"))));
    request.addEventListener("error", () => reject(new Error("network")));
    signal.addEventListener("abort", () => {
      request.abort();
      reject(new Error("aborted"));
    });
    request.send(new FormData(form));
  });
}

async function follow(job, signal) {
  let failures = 0;
  while (!job.ended) {
    setStep(job.step);
    setNotice(job.notice);
    try {
      const response = await fetch(job.address, { signal, headers: { Accept: "application/json" } });
      job = await response.json();
      failures = 0;
    } catch (error) {
      if (signal.aborted || ++failures >= PATIENCE) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
  show(job);
}

function show(job) {
  setStep("done");
  setNotice("");
  setPhase("answered");
  const answer = part("answer");
  answer.innerHTML = job.html;
  part("status").textContent = [...answer.querySelectorAll("h2, h2 + p")].map((line) => line.textContent).join(" ");
}

function setPhase(phase) {
  main.dataset.phase = phase;
  part("progress").hidden = phase !== "busy";
  part("answer").setAttribute("aria-busy", String(phase === "busy"));
}

function setStep(step) {
  const now = STEPS.indexOf(step);
  for (const line of part("progress").querySelectorAll("[data-step]")) {
    const at = STEPS.indexOf(line.dataset.step);
    line.dataset.is = at < now ? "past" : at === now ? "now" : "ahead";
    if (at === now) line.setAttribute("aria-current", "step");
    else line.removeAttribute("aria-current");
  }
  if (step !== "uploading") setPercent(null);
  if (SAID[step]) part("status").textContent = SAID[step];
}

function setPercent(percent) {
  part("percent").textContent = percent === null ? "" : ` ${percent} %`;
}

function setNotice(text) {
  const notice = part("notice");
  if (text && notice.textContent !== text) part("status").textContent = text;
  notice.textContent = text ?? "";
  notice.hidden = !text;
}

function skeletons() {
  const list = document.createElement("div");
  list.className = "cards waiting";
  list.setAttribute("aria-hidden", "true");
  for (let count = 0; count < 10; count += 1) {
    const card = document.createElement("div");
    card.className = "card";
    card.append(Object.assign(document.createElement("div"), { className: "plate" }));
    list.append(card);
  }
  return [list];
}

function trouble(title, message) {
  const box = Object.assign(document.createElement("div"), { className: "trouble" });
  box.setAttribute("role", "alert");
  box.append(
    Object.assign(document.createElement("h2"), { textContent: title }),
    Object.assign(document.createElement("p"), { textContent: message }),
  );
  return box;
}
