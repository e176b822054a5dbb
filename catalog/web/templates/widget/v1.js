{% load static %}// Vitrine: search by photo on a shop's page. Draws the button; the rest is loaded when it is used.
// <script src="https://vitrine.example/widget/v1.js" data-key="vit_pk_…" async></script>: see docs/widget.md.
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script?.dataset.key || customElements.get("vitrine-search")) return;
  const site = new URL(script.src).origin;
  const modules = new URL("{% static 'vitrine/widget/dialog.js' %}", site).href;
  const settings = { ...script.dataset, site };
  const language = (settings.language || document.documentElement.lang || navigator.language).toLowerCase();
  settings.language = language.startsWith("zh") ? "zh" : "en";
  const label = { en: "Search by photo", zh: "拍照搜索" }[settings.language];

  const STYLE = `
    :host { all: initial; }
    .launch { position: fixed; z-index: 2147483000; bottom: calc(20px + env(safe-area-inset-bottom)); right: 20px; display: inline-flex; align-items: center; gap: 10px; min-height: 52px; padding: 0 20px 0 16px; border: 0; border-radius: 999px; background: var(--vitrine-accent, #14694b); color: var(--vitrine-accent-ink, #fff); font: 600 15px/1 system-ui, -apple-system, "Segoe UI", "Noto Sans SC", sans-serif; letter-spacing: -0.005em; cursor: pointer; box-shadow: 0 1px 2px rgb(0 0 0 / .2), 0 10px 30px -8px rgb(0 0 0 / .4); transition: filter .15s; }
    .launch:hover { filter: brightness(1.1); }
    .launch:focus-visible { outline: 3px solid var(--vitrine-accent, #14694b); outline-offset: 3px; }
    .launch svg { width: 24px; height: 24px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
    :host([data-position="left"]) .launch { right: auto; left: 20px; }
  `;

  class VitrineSearch extends HTMLElement {
    #dialog = null;

    connectedCallback() {
      if (this.shadowRoot) return;
      const root = this.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      const pages = getComputedStyle(document.documentElement).colorScheme; // "normal" is light
      this.style.colorScheme = settings.theme === "auto" ? "light dark" : (settings.theme ?? pages);
      if (settings.position) this.dataset.position = settings.position;
      if (settings.accent) this.style.setProperty("--vitrine-accent", settings.accent);
      this.lang = settings.language === "zh" ? "zh-Hans" : "en";
      if (settings.button) this.#useTheirs(settings.button);
      else root.append(this.#button());
    }

    /** Open the window to search in. */
    async open() {
      try {
        this.#dialog ??= import(modules).then(({ openDialog }) => openDialog(this, settings));
        (await this.#dialog).open();
      } catch (error) {
        this.#dialog = null; // the next press tries again
        this.tell("error", { code: "unreachable", message: String(error) });
      }
    }

    /** Close it. */
    async close() {
      (await this.#dialog)?.close();
    }

    /** Tell the page what happened: an event "vitrine:…" on the document. False when the page took it over. */
    tell(name, detail) {
      const event = new CustomEvent(`vitrine:${name}`, { detail, bubbles: true, composed: true, cancelable: true });
      return this.dispatchEvent(event);
    }

    #button() {
      const button = document.createElement("button");
      button.className = "launch";
      button.type = "button";
      button.setAttribute("aria-haspopup", "dialog");
      const icon = new DOMParser().parseFromString(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" aria-hidden="true"><path d="M3 9V6a3 3 0 0 1 3-3h3M15 3h3a3 3 0 0 1 3 3v3M21 15v3a3 3 0 0 1-3 3h-3M9 21H6a3 3 0 0 1-3-3v-3"/><circle cx="12" cy="12" r="3.6"/></svg>',
        "image/svg+xml",
      );
      button.append(document.importNode(icon.documentElement, true), label);
      button.addEventListener("click", () => this.open());
      return button;
    }

    #useTheirs(selector) {
      document.addEventListener("click", (event) => {
        if (!event.target.closest?.(selector)) return;
        event.preventDefault();
        this.open();
      });
    }
  }

  customElements.define("vitrine-search", VitrineSearch);
  const put = () => document.querySelector("vitrine-search") ?? document.body.append(document.createElement("vitrine-search"));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", put);
  else put();
})();
