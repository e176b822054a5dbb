// The outbox: decisions go to the site in the order in which they were made, each once, while the reviewer goes on.
// What the network lost is sent again (the site knows a decision by its id); a reload of the page loses nothing.

import { deskId, LoggedOut, post, Refusal, reviewer } from "./site.js";

const STORE = `vitrine.desk.outbox.${reviewer}`; // a person's own: nobody sends what another one decided
const MOST_AT_ONCE = 50;
const LONGEST_WAIT = 8000;

export class Outbox {
  /** `answered(order, result)` for each decision that the site carried out or refused (`result.code`);
      `changed(waiting, state)` with the state "saved", "saving", "away" or "out". */
  constructor({ answered, changed }) {
    this.answered = answered;
    this.changed = changed;
    this.orders = JSON.parse(sessionStorage.getItem(STORE) ?? "[]"); // [{desk, order}]
    this.sending = false;
    if (this.orders.length) this.#send();
  }

  /** Ids of items whose decision has not arrived yet. */
  get items() {
    return this.orders.map((each) => each.order.item);
  }

  add(...orders) {
    this.orders.push(...orders.map((order) => ({ desk: deskId, order })));
    this.#keep();
    this.#send();
  }

  async #send() {
    if (this.sending) return;
    this.sending = true;
    let wait = 500;
    while (this.orders.length) {
      this.changed(this.orders.length, "saving");
      const desk = this.orders[0].desk;
      const end = this.orders.findIndex((each) => each.desk !== desk);
      const batch = this.orders.slice(0, Math.min(end < 0 ? this.orders.length : end, MOST_AT_ONCE));
      try {
        this.#done(batch, (await post("decide", { desk, decisions: batch.map((each) => each.order) })).decisions);
        wait = 500;
      } catch (error) {
        if (error instanceof Refusal) {
          this.#done(batch, batch.map(() => ({ code: error.code, message: error.message, problems: [] })));
          continue;
        }
        this.changed(this.orders.length, error instanceof LoggedOut ? "out" : "away");
        await new Promise((resume) => setTimeout(resume, wait));
        wait = Math.min(wait * 2, LONGEST_WAIT);
      }
    }
    this.sending = false;
    this.changed(0, "saved");
  }

  #done(batch, results) {
    this.orders.splice(0, batch.length);
    this.#keep();
    batch.forEach(({ order }, at) => this.answered(order, results[at]));
  }

  #keep() {
    sessionStorage.setItem(STORE, JSON.stringify(this.orders));
  }
}
