// Two small helpers of the search page's scripts.

/** A sentence with its `{name}` places filled in. */
export function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** A new element with these properties. */
export function make(tag, values = {}) {
  return Object.assign(document.createElement(tag), values);
}
