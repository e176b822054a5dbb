// The filters beside the results: values with counts. Their fields belong to the form, so what is set is sent.
//
// An answer counts only what passed the filters, so a group in which something is chosen keeps the values that it had
// before: otherwise one could never choose a second brand.

import { fill, make } from "./text.js";

const SHOWN = 7; // values of a group before one asks for all

export class Filters {
  #known;

  constructor({ element, texts, facets }) {
    this.element = element;
    this.texts = texts;
    this.#known = facets;
    for (const group of this.#groups()) this.#list(group);
    this.#priced(facets.prices ?? []);
    element.querySelector("[name=currency]")?.addEventListener("change", () => this.#priced(this.#known.prices ?? []));
  }

  /** How many are set. */
  get count() {
    const checked = this.element.querySelectorAll("input[type=checkbox]:checked").length;
    const isPriced = [...this.element.querySelectorAll(".price-range input:not([type=hidden])")].some((each) => each.value);
    return checked + (isPriced ? 1 : 0);
  }

  /** Set none. */
  reset() {
    for (const box of this.element.querySelectorAll("input[type=checkbox]")) box.checked = false;
    for (const price of this.element.querySelectorAll(".price-range input:not([type=hidden])")) price.value = "";
  }

  /** Show what an answer counted. */
  counted(facets) {
    for (const group of this.#groups()) {
      const name = group.dataset.facet;
      const chosen = this.#chosen(group);
      this.#known[name] = chosen.size ? merged(this.#known[name], facets[name]) : facets[name];
      this.#list(group);
    }
    this.#known.prices = facets.prices;
    this.#priced(facets.prices);
  }

  #groups() {
    return this.element.querySelectorAll("[data-facet]");
  }

  #chosen(group) {
    return new Set([...group.querySelectorAll("input:checked")].map((box) => box.value));
  }

  #list(group) {
    const chosen = this.#chosen(group);
    const focused = group.contains(document.activeElement) ? document.activeElement.value : null;
    const isOpen = group.hasAttribute("data-all");
    const values = this.#known[group.dataset.facet] ?? [];
    const rows = values.map(({ value, count }, place) => {
      const box = make("input", { type: "checkbox", name: group.dataset.name, value, checked: chosen.has(value) });
      const row = make("label", { className: "check" });
      row.append(box, make("span", { textContent: value }), make("span", { className: "count", textContent: count }));
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
