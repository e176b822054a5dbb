// The filters beside the results: values with counts. Their fields belong to the form, so what is set is sent.
//
// An answer counts only what passed the filters, so a group in which something is chosen keeps the values that it had
// before: otherwise one could never choose a second brand.

import { fill, make } from "./text.js";

const SHOWN = 7; // values of a group before one asks for all

const NUMBERS = "input:not([type=hidden])"; // the two ends of a range

export class Filters {
  #known;

  constructor({ element, texts, facets }) {
    this.element = element;
    this.texts = texts;
    this.#known = facets;
    for (const group of this.#groups()) this.#list(group);
    this.#priced(facets.prices ?? []);
    this.#ranged();
    element.querySelector("[name=currency]")?.addEventListener("change", () => this.#priced(this.#known.prices ?? []));
  }

  /** How many are set. */
  get count() {
    const checked = this.element.querySelectorAll("input[type=checkbox]:checked").length;
    const ranges = [...this.element.querySelectorAll(".range")];
    return checked + ranges.filter((range) => [...range.querySelectorAll(NUMBERS)].some((each) => each.value)).length;
  }

  /** Set none. */
  reset() {
    for (const box of this.element.querySelectorAll("input[type=checkbox]")) box.checked = false;
    for (const end of this.element.querySelectorAll(`.range ${NUMBERS}`)) end.value = "";
  }

  /** Set these: values by the names of their fields. What the shop offers no more is listed all the same. */
  set(fields) {
    for (const group of this.#groups()) {
      const chosen = fields[group.dataset.name] ?? [];
      const known = this.#known[group.dataset.facet] ?? [];
      const gone = chosen.filter((value) => !known.some((each) => each.value === value));
      this.#known[group.dataset.facet] = [...known, ...gone.map((value) => ({ value, count: 0 }))];
      this.#list(group, new Set(chosen));
    }
    for (const field of this.element.querySelectorAll(".range input, .range select, .switches input")) {
      const [value = ""] = fields[field.name] ?? [];
      if (field.type === "checkbox") field.checked = Boolean(value);
      else if (value || field.matches(NUMBERS)) field.value = value; // a currency stays where none was asked for
    }
  }

  /** Show what an answer counted. */
  counted(facets) {
    for (const group of this.#groups()) {
      const name = group.dataset.facet;
      const chosen = this.#chosen(group);
      const now = facets[name] ?? []; // nothing where the shop has offered this only since then
      this.#known[name] = chosen.size ? merged(this.#known[name] ?? [], now) : now;
      this.#list(group);
    }
    for (const name of ["prices", ...this.#ranges().map((group) => group.dataset.range)]) this.#known[name] = facets[name] ?? [];
    this.#priced(this.#known.prices);
    this.#ranged();
  }

  #groups() {
    return this.element.querySelectorAll("[data-facet]");
  }

  #ranges() {
    return [...this.element.querySelectorAll("[data-range]")];
  }

  #chosen(group) {
    return new Set([...group.querySelectorAll("input:checked")].map((box) => box.value));
  }

  #list(group, chosen = this.#chosen(group)) {
    const focused = group.contains(document.activeElement) ? document.activeElement.value : null;
    const isOpen = group.hasAttribute("data-all");
    const values = this.#known[group.dataset.facet] ?? [];
    const rows = values.map(({ value, count }, place) => {
      const box = make("input", { type: "checkbox", name: group.dataset.name, value, checked: chosen.has(value) });
      const row = make("label", { className: "check" });
      row.append(box, make("span", { textContent: value }), make("span", { className: "count", textContent: count || "" })); // 0: unknown
      row.hidden = place >= SHOWN && !isOpen && !box.checked;
      return row;
    });
    group.replaceChildren(group.querySelector("legend"), ...rows, ...this.#all(group, rows));
    if (focused) rows.find((row) => row.control.value === focused)?.control.focus();
    group.hidden = !rows.length;
  }

  #all(group, rows) {
    if (!rows.some((row) => row.hidden)) return [];
    const button = make("button", { type: "button", className: "all", textContent: fill(this.texts.all, { count: rows.length }) });
    button.addEventListener("click", () => {
      group.setAttribute("data-all", "");
      for (const row of rows) row.hidden = false;
      rows[SHOWN].control.focus();
      button.remove();
    });
    return [button];
  }

  #priced(prices) {
    const hint = this.element.querySelector("[data-part=price-hint]");
    if (!hint) return;
    const currency = this.element.querySelector("[name=currency]").value;
    const found = prices.find((each) => each.value === currency);
    hint.textContent = found ? fill(this.texts.between, { low: found.min, high: found.max }) : " ";
  }

  /** How far the numbers of what was found reach. */
  #ranged() {
    for (const group of this.#ranges()) {
      const numbers = (this.#known[group.dataset.range] ?? []).map(({ value }) => Number(value)).filter(Number.isFinite);
      const ends = { low: Math.min(...numbers), high: Math.max(...numbers) };
      group.querySelector("[data-part=hint]").textContent = numbers.length ? fill(this.texts.between, ends) : " ";
    }
  }
}

/** Values as they were, with the counts that are known better now. */
function merged(before, now) {
  const counts = new Map(now.map(({ value, count }) => [value, count]));
  const known = new Set(before.map(({ value }) => value));
  return [
    ...before.map(({ value, count }) => ({ value, count: counts.get(value) ?? count })),
    ...now.filter(({ value }) => !known.has(value)),
  ];
}
