// The line of items ahead: claimed, complete, their pages built and their photos loaded before anybody looks at them.

import { LoggedOut, post, Refusal } from "./site.js";
import { itemNode, warm } from "./view.js";

const AHEAD = 20;
const MOST = 100; // items that the site lets one desk ask for at once
const MOST_NAMED = 500; // ids that it takes in one list
const LOW = 14; // then more is asked for
const WARM = 3; // of these the photos are decoded too, so that showing one is a single paint
const RETRY = 2000;

export class Line {
  /** `pending()` gives the ids of items on their way in the outbox; `changed(waiting)` is told what came. */
  constructor({ pending, changed, failed, claimSeconds }) {
    this.pending = pending;
    this.changed = changed;
    this.failed = failed;
    this.entries = []; // [{item, node, shownAt}]
    this.skipped = [];
    this.waiting = null;
    this.loading = false;
    this.again = false; // asked for while it was loading: what comes may be old news
    this.dry = false; // nothing more was there when it was last asked
    setInterval(() => this.refill(true), Math.min(claimSeconds / 3, 30) * 1000);
  }

  get current() {
    return this.entries[0];
  }

  /** Take the first item, or several by their ids, out of the line. */
  take(ids = [this.current.item.id]) {
    const taken = this.entries.filter((entry) => ids.includes(entry.item.id));
    this.entries = this.entries.filter((entry) => !ids.includes(entry.item.id));
    this.#ready();
    return taken;
  }

  /** Back to the front, as they were. */
  putBack(entries) {
    const back = new Set(entries.map((entry) => entry.item.id));
    this.entries = [...entries, ...this.entries.filter((entry) => !back.has(entry.item.id))];
    this.#ready();
  }

  skip() {
    const [entry] = this.take();
    this.skipped = [...this.skipped, entry.item.id].slice(-MOST_NAMED); // who skips more sees the oldest again
    this.refill();
  }

  /** What was skipped may come again. */
  forgetSkipped() {
    this.skipped = [];
    this.dry = false;
    return this.refill(true);
  }

  /** Claim more, and keep the claims on what is here; with `always` also where enough is here. */
  async refill(always = false) {
    if (!always && (this.dry || this.entries.length > LOW)) return;
    this.again ||= this.loading && always;
    if (this.loading) return;
    this.loading = true;
    try {
      const pending = this.pending();
      const holding = [...new Set([...this.entries.map((entry) => entry.item.id), ...pending])];
      const answer = await post("next", {
        count: Math.min(AHEAD + pending.length, MOST),
        holding: holding.slice(0, MOST_NAMED),
        skipped: this.skipped,
      });
      this.#arrived(answer, pending);
    } catch (error) {
      this.failed(error);
      const isAway = !(error instanceof LoggedOut || error instanceof Refusal);
      if (isAway) setTimeout(() => this.refill(always), RETRY);
    } finally {
      this.loading = false;
    }
    if (this.again) {
      this.again = false;
      this.refill(true);
    }
  }

  /** `asked`: what was on its way when the site was asked. Of that its answer may be old news: taken back since. */
  #arrived(answer, asked) {
    const still = new Set(this.pending());
    const own = new Set([...asked, ...still]);
    const lost = new Set(answer.lost);
    const shown = this.current;
    this.entries = this.entries.filter((entry) => !lost.has(entry.item.id) || own.has(entry.item.id));
    const known = new Set([...this.entries.map((entry) => entry.item.id), ...still]);
    for (const item of answer.items) {
      if (!known.has(item.id)) this.entries.push({ item, node: itemNode(item), shownAt: 0 });
    }
    this.dry = answer.items.length === 0;
    this.waiting = Math.max(answer.waiting - still.size, 0); // the site does not know yet what is on its way
    this.#ready();
    this.changed(shown !== undefined && lost.has(shown.item.id) && !own.has(shown.item.id));
  }

  #ready() {
    this.entries.slice(0, WARM).forEach((entry) => warm(entry.node));
  }
}
