// Talking to the site: one POST, one GET, ids, and what went wrong told apart. Used by every other module of the desk.

const { desk, query, root, user } = document.body.dataset;
const TRY_AGAIN = new Set([408, 425, 429]);

export const deskId = desk;
export const reviewer = user; // whose page this is; who is logged in by now may be somebody else

/** The site said no, for good: `code` is stable, `message` a sentence. */
export class Refusal extends Error {
  constructor(code, message, problems = []) {
    super([message, ...problems.map((each) => each.message)].join(" "));
    this.code = code;
  }
}

/** The session has ended, or is another person's: nothing can be said until this one has logged in again. */
export class LoggedOut extends Error {}

/** An id; `crypto.randomUUID` is not there where the desk is served without TLS to another machine. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The token as it is now: it changes when somebody logs in, be it in another tab. */
function token() {
  const cookie = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/);
  return cookie ? cookie[1] : document.querySelector("[name=csrfmiddlewaretoken]").value;
}

/** POST a message; throws `Refusal`, `LoggedOut`, or whatever `fetch` throws while the site is away. */
export function post(path, message) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token() };
  const body = JSON.stringify({ desk, reviewer, ...message });
  return answer(fetch(`${root}${path}/?${query}`, { method: "POST", headers, body, redirect: "manual" }));
}

/** GET an address, the desk's own or a whole one. */
export function get(path, parameters = {}) {
  const address = path.startsWith("/") ? path : `${root}${path}/`;
  return answer(fetch(`${address}?${new URLSearchParams(parameters)}`, { redirect: "manual" }));
}

/** The last word of a page that closes: what it has goes back to the others. */
export function sayGoodbye() {
  const form = new FormData();
  form.set("csrfmiddlewaretoken", token());
  form.set("message", JSON.stringify({ desk, reviewer }));
  navigator.sendBeacon(`${root}release/`, form);
}

async function answer(asked) {
  const response = await asked;
  if (response.type === "opaqueredirect") throw new LoggedOut("Your session has ended.");
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  if (response.status === 403 && !isJson) throw new LoggedOut("Your session has ended."); // an old token
  if (TRY_AGAIN.has(response.status) || (response.status >= 500 && !isJson)) {
    throw new TypeError(`The site answered ${response.status}.`);
  }
  if (!isJson) throw new Refusal("refused", `The site answered ${response.status}.`);
  const body = await response.json();
  if (body.code === "other_reviewer") throw new LoggedOut(body.message);
  if (!response.ok) throw new Refusal(body.code, body.message, body.problems);
  return body;
}
