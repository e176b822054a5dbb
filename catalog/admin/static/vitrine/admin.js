// The admin's own behaviour: choosing and sending a bulk upload, and copying a new key. Everything works without it
// but the names, the percentage and the selected text.

document.addEventListener("DOMContentLoaded", () => {
  for (const field of document.querySelectorAll("[data-select-on-focus]")) {
    field.addEventListener("focus", () => field.select());
  }
  // unfold expects a text field beside every file field, to show the name in; ours have none. It skips marked ones.
  for (const input of document.querySelectorAll(".v-drop input[type=file], input.v-file")) input.hasChangeListener = true;
  const form = document.querySelector("form[data-upload]");
  if (form) prepareUpload(form);
});

function prepareUpload(form) {
  const drop = form.querySelector(".v-drop");
  const input = drop.querySelector("input[type=file]");
  const name = drop.querySelector("[data-name]");
  const asked = name.textContent;
  for (const type of ["dragenter", "dragover"]) drop.addEventListener(type, () => drop.classList.add("v-over"));
  for (const type of ["dragleave", "drop"]) drop.addEventListener(type, () => drop.classList.remove("v-over"));
  input.addEventListener("change", () => {
    const file = input.files[0];
    name.textContent = file ? `${file.name} (${readable(file.size)})` : asked;
  });
  form.addEventListener("submit", (event) => {
    if (!input.files.length) return;
    event.preventDefault();
    send(form);
  });
}

function readable(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}

// XMLHttpRequest, because fetch does not tell how far an upload has come.
function send(form) {
  const sending = form.querySelector("[data-sending]");
  const bar = sending.querySelector("progress");
  const words = sending.querySelector("[data-words]");
  const button = form.querySelector("button[type=submit]");
  const request = new XMLHttpRequest();
  const failed = (sentence) => {
    bar.hidden = true;
    words.textContent = sentence;
    words.className = "v-error";
    button.disabled = false;
  };
  request.open("POST", form.action);
  request.responseType = "json";
  request.setRequestHeader("Accept", "application/json");
  request.upload.addEventListener("progress", (event) => {
    bar.value = event.loaded / event.total;
    words.textContent = `${readable(event.loaded)} of ${readable(event.total)} sent`;
  });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    words.textContent = "Storing the file…";
  });
  request.addEventListener("error", () => failed("The connection broke. Please try again."));
  request.addEventListener("load", () => {
    if (request.response?.address) window.location.assign(request.response.address);
    else failed(request.response?.problems?.join(" ") ?? "The site had a problem. Please try again.");
  });
  button.disabled = true;
  sending.hidden = bar.hidden = false;
  words.className = "v-soft";
  request.send(new FormData(form));
}
