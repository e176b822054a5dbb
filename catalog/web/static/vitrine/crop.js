// The frame over a photo: which part of it is searched. Dragged and resized with a pointer, moved with arrow keys, and
// its edges are sliders for those who listen. Used by the search page and by the widget; brings its own style, so it
// looks the same in a page and in a shadow root.

const LEAST = 0.06; // the smallest side of a frame, as a part of the photo's
const STEP = 0.02; // what an arrow key moves
const SETTLED_MS = 500; // after the last key the frame counts as set
const WHOLE = [0, 0, 1, 1];
const EDGES = ["left", "top", "right", "bottom"];
const CORNERS = { nw: [0, 1], ne: [2, 1], se: [2, 3], sw: [0, 3] }; // which edges a corner pulls

const STYLE = `
.crop { position: relative; display: grid; max-width: 100%; max-height: 100%; min-height: 0; touch-action: pan-y; user-select: none; -webkit-user-select: none; cursor: crosshair; line-height: 0; overflow: hidden; border-radius: inherit; }
.crop img { display: block; max-width: 100%; max-height: var(--crop-height, 60vh); width: auto; height: auto; -webkit-user-drag: none; pointer-events: none; }
.crop-frame { position: absolute; margin: 0; padding: 0; border: 0; background: none; border-radius: 10px; box-shadow: 0 0 0 200vmax rgb(10 12 16 / 0.5); cursor: move; touch-action: none; outline: none; transition: box-shadow .2s; }
.crop[data-whole] .crop-frame { box-shadow: none; cursor: crosshair; touch-action: pan-y; }
.crop-frame::before { content: ""; position: absolute; inset: 0; border: 1.5px solid rgb(255 255 255 / 0.9); border-radius: inherit; box-shadow: 0 0 0 1px rgb(10 12 16 / 0.35), inset 0 0 0 1px rgb(10 12 16 / 0.2); }
.crop-frame:focus-visible::before, .crop:has(.crop-edge:focus-visible) .crop-frame::before { border-color: #fff; box-shadow: 0 0 0 3px var(--crop-accent, #14694b), inset 0 0 0 1px rgb(10 12 16 / 0.3); }
.crop-corner { position: absolute; width: 44px; height: 44px; margin: -22px; touch-action: none; z-index: 1; }
.crop-corner::before { content: ""; position: absolute; inset: 11px; border: 0 solid #fff; border-radius: 3px; filter: drop-shadow(0 0 1.5px rgb(10 12 16 / 0.75)); }
.crop-corner[data-corner="nw"] { cursor: nwse-resize; } .crop-corner[data-corner="nw"]::before { border-width: 4px 0 0 4px; translate: 16px 16px; border-top-left-radius: 9px; }
.crop-corner[data-corner="ne"] { cursor: nesw-resize; } .crop-corner[data-corner="ne"]::before { border-width: 4px 4px 0 0; translate: -16px 16px; border-top-right-radius: 9px; }
.crop-corner[data-corner="se"] { cursor: nwse-resize; } .crop-corner[data-corner="se"]::before { border-width: 0 4px 4px 0; translate: -16px -16px; border-bottom-right-radius: 9px; }
.crop-corner[data-corner="sw"] { cursor: nesw-resize; } .crop-corner[data-corner="sw"]::before { border-width: 0 0 4px 4px; translate: 16px -16px; border-bottom-left-radius: 9px; }
.crop-edge { position: absolute; width: 1px; height: 1px; margin: 0; opacity: 0; pointer-events: none; }
@media (prefers-reduced-motion: reduce) { .crop-frame { transition: none; } }
`;

/**
 * A frame over one photo. Put `element` where the photo shall be; `texts` names the frame and its edges; `onChange`
 * hears a region once it is set, never while it is still being drawn.
 */
export class CropBox {
  #region = WHOLE;
  #drag = null;
  #settling = 0;

  constructor({ texts, onChange }) {
    this.onChange = onChange;
    this.element = make("div", { className: "crop" });
    this.image = make("img", { draggable: false, alt: "" });
    this.frame = make("button", { type: "button", className: "crop-frame" });
    this.frame.setAttribute("aria-label", texts.frame);
    this.corners = Object.keys(CORNERS).map((name) => {
      const corner = make("span", { className: "crop-corner" });
      corner.dataset.corner = name;
      return corner;
    });
    this.edges = EDGES.map((name) => {
      const edge = make("input", { type: "range", className: "crop-edge", min: 0, max: 100, step: 1 });
      edge.setAttribute("aria-label", texts[name]);
      return edge;
    });
    this.element.append(this.image, this.frame, ...this.corners, ...this.edges);
    this.#listen();
    this.#draw();
  }

  /** Use this component's style in the document or shadow root that it was put into. */
  adoptStyle() {
    const root = this.element.getRootNode();
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  }

  /** The part that is framed: left, top, right, bottom from 0 to 1. */
  get region() {
    return [...this.#region];
  }

  /** Frame this part without telling anybody; null frames the whole photo. */
  set region(region) {
    clearTimeout(this.#settling);
    this.#region = region ? region.map((at) => clamp(at, 0, 1)) : WHOLE;
    this.#draw();
  }

  get isWhole() {
    return this.#region.every((at, edge) => Math.abs(at - WHOLE[edge]) < 0.005);
  }

  #listen() {
    this.element.addEventListener("pointerdown", (event) => this.#begin(event));
    this.element.addEventListener("pointermove", (event) => this.#pull(event));
    this.element.addEventListener("pointerup", () => this.#end(true));
    this.element.addEventListener("pointercancel", () => this.#end(false));
    this.frame.addEventListener("keydown", (event) => this.#key(event));
    this.edges.forEach((input, edge) => {
      input.addEventListener("input", () => {
        this.#region = moved(this.#region, [edge], [input.value / 100]);
        this.#settle();
      });
    });
  }

  #begin(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    const corner = event.target.dataset.corner;
    const isMove = !corner && event.target === this.frame && !this.isWhole;
    if (!corner && !isMove && event.pointerType === "touch") return; // a finger on the photo scrolls the page
    const at = this.#place(event);
    if (!corner && !isMove) event.preventDefault(); // drawing anew: no focus, no selection
    this.#drag = { corner, isMove, from: at, before: this.#region, moved: false };
    this.element.setPointerCapture(event.pointerId);
  }

  #pull(event) {
    const drag = this.#drag;
    if (!drag) return;
    const [x, y] = this.#place(event);
    const [dx, dy] = [x - drag.from[0], y - drag.from[1]];
    if (!drag.moved && Math.hypot(dx, dy) < 0.012) return; // a click, so far
    drag.moved = true;
    if (drag.corner) {
      const [across, down] = CORNERS[drag.corner];
      this.#region = moved(drag.before, [across, down], [drag.before[across] + dx, drag.before[down] + dy]);
    } else if (drag.isMove) {
      this.#region = shifted(drag.before, dx, dy);
    } else {
      this.#region = drawn(drag.from, [x, y]);
    }
    this.#draw();
  }

  #end(isSet) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag?.moved) return;
    if (isSet) this.onChange(this.region);
    else this.region = drag.before;
  }

  #key(event) {
    const way = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (!way) return;
    event.preventDefault();
    const [dx, dy] = way;
    if (event.shiftKey) {
      this.#region = moved(this.#region, [2, 3], [this.#region[2] + dx, this.#region[3] + dy]);
    } else {
      this.#region = shifted(this.#region, dx, dy);
    }
    this.#settle();
  }

  #settle() {
    this.#draw();
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.onChange(this.region), SETTLED_MS);
  }

  #place(event) {
    const box = this.element.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width, 0, 1), clamp((event.clientY - box.top) / box.height, 0, 1)];
  }

  #draw() {
    const [left, top, right, bottom] = this.#region;
    Object.assign(this.frame.style, {
      left: percent(left),
      top: percent(top),
      width: percent(right - left),
      height: percent(bottom - top),
    });
    for (const corner of this.corners) {
      const [across, down] = CORNERS[corner.dataset.corner];
      Object.assign(corner.style, { left: percent(this.#region[across]), top: percent(this.#region[down]) });
    }
    this.edges.forEach((input, edge) => {
      input.value = Math.round(this.#region[edge] * 100);
      input.setAttribute("aria-valuetext", `${input.value} %`);
    });
    this.element.toggleAttribute("data-whole", this.isWhole);
  }
}

/** The region with some of its edges elsewhere, never turned round nor smaller than LEAST. */
function moved(region, edges, places) {
  const next = [...region];
  edges.forEach((edge, number) => {
    const opposite = region[(edge + 2) % 4];
    next[edge] = edge < 2 ? clamp(places[number], 0, opposite - LEAST) : clamp(places[number], opposite + LEAST, 1);
  });
  return next;
}

/** The region moved as a whole, as far as the photo goes. */
function shifted([left, top, right, bottom], dx, dy) {
  const x = clamp(dx, -left, 1 - right);
  const y = clamp(dy, -top, 1 - bottom);
  return [left + x, top + y, right + x, bottom + y];
}

/** The region between two points, at least LEAST wide and high. */
function drawn([x1, y1], [x2, y2]) {
  const left = Math.min(x1, x2, 1 - LEAST);
  const top = Math.min(y1, y2, 1 - LEAST);
  return [left, top, Math.max(x1, x2, left + LEAST), Math.max(y1, y2, top + LEAST)];
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function percent(part) {
  return `${(part * 100).toFixed(3)}%`;
}

function make(tag, values) {
  return Object.assign(document.createElement(tag), values);
}
