// Follows a job until it has ended: its event stream where that comes through, else by asking again. Used by the search
// page and by the widget; comes after a search was sent, before its answer is shown.

const FIRST_MS = 4_000; // a stream that is silent at first is held back by something between us: ask instead
const SILENCE_MS = 25_000; // the server says at least every 15 s that it is there
const AGAIN_MS = 1_500;
const PATIENCE = 5; // failures in a row before giving up

/**
 * The last body of a job. `poll` and `events` are addresses (`events` may be null), `hasEnded` judges a body, and
 * `onProgress` hears every body before. Rejects when the server cannot be reached, or `signal` aborts.
 */
export async function follow({ poll, events, headers = {}, hasEnded, onProgress, signal }) {
  if (events) {
    try {
      const last = await streamed({ events, headers, hasEnded, onProgress, signal });
      if (last) return last;
    } catch (error) {
      if (signal.aborted) throw error;
    }
  }
  return asked({ poll, headers, hasEnded, onProgress, signal });
}

async function streamed({ events, headers, hasEnded, onProgress, signal }) {
  const own = new AbortController();
  const stop = () => own.abort();
  signal.addEventListener("abort", stop);
  let timer = setTimeout(stop, FIRST_MS);
  try {
    const response = await fetch(events, { headers: { ...headers, Accept: "text/event-stream" }, signal: own.signal });
    if (response.status !== 200) return null;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(stop, SILENCE_MS);
    };
    for await (const body of bodies(response.body.getReader(), heard)) {
      if (hasEnded(body)) return body;
      onProgress(body);
    }
    return null;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

async function* bodies(reader, heard) {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      heard();
      const events = (text + decoder.decode(piece.value, { stream: true })).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const data = event.split("\n").filter((line) => line.startsWith("data:"));
        if (data.length) yield JSON.parse(data.map((line) => line.slice(5)).join("\n"));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function asked({ poll, headers, hasEnded, onProgress, signal }) {
  for (let failures = 0; ; ) {
    try {
      const response = await fetch(poll, { headers: { ...headers, Accept: "application/json" }, signal });
      if (response.status === 429 || response.status >= 500) throw new Error(`status ${response.status}`);
      const body = await response.json();
      if (hasEnded(body) || !response.ok) return body;
      failures = 0;
      onProgress(body);
      await pause(100, signal);
    } catch (error) {
      failures += 1;
      if (signal.aborted || failures >= PATIENCE) throw error;
      await pause(AGAIN_MS, signal);
    }
  }
}

/** Wait; rejects when `signal` aborts meanwhile. */
export function pause(ms, signal) {
  return new Promise((done, fail) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      fail(signal.reason);
    });
  });
}
