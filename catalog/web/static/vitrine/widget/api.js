// The widget's calls of the public API, with the shop's publishable key. Comes before `dialog.js` shows what was found.

import { follow, pause } from "../follow.js";

const LIMIT = 24;
const AGAIN_MS = 800;

/** What the API refused, or that it could not be reached: `code` is one of the API's stable codes, or `unreachable`. */
export class SearchError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * Search and wait: the finished job with its hits. `onProgress` hears the job while it waits.
 * Rejects with a `SearchError`, or with the signal's reason when that aborts.
 */
export async function search({ site, key, photo, words, region, onProgress, signal }) {
  const headers = { Authorization: `Bearer ${key}` };
  const body = new FormData();
  body.set("photo", photo);
  body.set("limit", LIMIT);
  if (words) body.set("words", words);
  if (region) body.set("region", JSON.stringify(region));
  const started = await send(`${site}/api/v1/search-jobs`, { method: "POST", headers: { ...headers, ...once() }, body, signal });
  const job = await started.json();
  if (!started.ok) throw new SearchError(job.code, job.detail);
  const poll = `${site}/api/v1/search-jobs/${job.id}`;
  const hasEnded = (each) => each.state !== "pending" && each.state !== "dispatched";
  try {
    const ended = await follow({ poll, events: `${poll}/events`, headers: { ...headers, Prefer: "wait=10" }, hasEnded, onProgress, signal });
    if (ended.state !== "done") throw new SearchError(ended.error?.code ?? ended.code ?? "deadline_passed", ended.state);
    return ended;
  } catch (error) {
    if (error instanceof SearchError || signal.aborted) throw error;
    throw new SearchError("unreachable", String(error));
  }
}

/** A name for this request, so that a second try starts no second search. Browsers give one to safe pages only. */
function once() {
  return globalThis.crypto?.randomUUID ? { "Idempotency-Key": crypto.randomUUID() } : {};
}

async function send(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (options.signal.aborted || !options.headers["Idempotency-Key"]) throw unreachable(error, options.signal);
  }
  await pause(AGAIN_MS, options.signal);
  try {
    return await fetch(address, options);
  } catch (error) {
    throw unreachable(error, options.signal);
  }
}

function unreachable(error, signal) {
  return signal.aborted ? signal.reason : new SearchError("unreachable", String(error));
}
