// How the widget's window looks: quiet, so that it fits any shop; the shop's colour is --vitrine-accent. A style sheet
// made here needs no `style-src` of the shop's policy.

const STYLE = `
:host { --accent: var(--vitrine-accent, light-dark(#14694b, #6fd0a6)); --accent-ink: var(--vitrine-accent-ink, light-dark(#fff, #0d1f18)); --paper: light-dark(#fff, #16181c); --sunk: light-dark(#f4f4f2, #202329); --ink: light-dark(#1d2127, #eeefed); --soft: light-dark(#5d636b, #a9afb6); --line: light-dark(#e2e3e0, #363a41); --alarm: light-dark(#a3261b, #f3a196); }
dialog, dialog * { box-sizing: border-box; }
dialog { width: min(60rem, 100vw - 2rem); max-width: none; height: min(44rem, 92dvh); max-height: none; padding: 0; border: 0; border-radius: 22px; background: var(--paper); color: var(--ink); font: 400 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif; box-shadow: 0 24px 80px -20px rgb(0 0 0 / .5); overflow: hidden; }
dialog[open] { display: flex; flex-direction: column; animation: rise .22s cubic-bezier(.2, .8, .2, 1); }
dialog::backdrop { background: rgb(12 14 18 / .55); }
@keyframes rise { from { opacity: 0; translate: 0 1rem; } }
[hidden] { display: none !important; }
h2, h3, p, ol, dl, dd { margin: 0; padding: 0; }
ol { list-style: none; }
button, input { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 6px; }
svg { width: 1.2em; height: 1.2em; flex: none; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
.head { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: .75rem .75rem .75rem 1.5rem; border-bottom: 1px solid var(--line); }
.head h2 { font-size: 1.06rem; font-weight: 640; letter-spacing: -.012em; }
.round { display: grid; place-items: center; width: 44px; height: 44px; padding: 0; border: 0; border-radius: 50%; background: none; cursor: pointer; }
.round:hover { background: var(--sunk); }
.main { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(0, 1fr); overflow-y: auto; overscroll-behavior: contain; }
.side { padding: 1.5rem; }
.drop { display: grid; align-content: center; justify-items: center; gap: .4rem; min-height: 20rem; padding: 1.5rem; border: 2px dashed var(--line); border-radius: 18px; text-align: center; transition: background-color .15s, border-color .15s; }
.drop > svg { width: 3rem; height: 3rem; stroke-width: 1.3; color: var(--accent); margin-bottom: .5rem; }
.drop h3 { font-size: 1.2rem; font-weight: 600; letter-spacing: -.012em; }
.drop p { color: var(--soft); font-size: .94rem; }
[data-dragging] .drop { border-color: var(--accent); background: var(--sunk); }
.tools { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: 1rem; justify-content: center; }
.button { display: inline-flex; align-items: center; justify-content: center; gap: .5rem; min-height: 44px; padding: 0 1.1rem; border: 1px solid var(--line); border-radius: 999px; background: var(--paper); font-size: .94rem; font-weight: 550; cursor: pointer; }
.button:hover { background: var(--sunk); }
.button.first { border-color: transparent; background: var(--accent); color: var(--accent-ink); }
.button.first:hover { filter: brightness(1.08); }
.stage { --crop-height: 20rem; --crop-accent: var(--accent); display: grid; place-items: center; min-height: 6rem; border-radius: 14px; background: var(--sunk); overflow: hidden; }
.words { display: flex; gap: .5rem; margin-top: 1rem; }
.words input { flex: 1; min-width: 0; min-height: 44px; padding: 0 .9rem; border: 1px solid light-dark(#868b91, #7d838b); border-radius: 12px; background: var(--paper); }
.words input::placeholder { color: var(--soft); opacity: 1; }
.results { min-width: 0; padding: 1.25rem 1.5rem 1.5rem; }
.told { min-height: 2.2rem; font-size: 1.12rem; font-weight: 620; letter-spacing: -.012em; }
.told[data-trouble] { color: var(--alarm); font-weight: 500; font-size: 1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 1.5rem 1rem; margin-top: .6rem; }
.card a, .card .plain { display: block; color: inherit; text-decoration: none; border-radius: 12px; }
.plate { position: relative; display: block; aspect-ratio: 1; margin-bottom: .55rem; border-radius: 12px; background: #f4f4f2; overflow: hidden; }
.plate img { display: block; width: 100%; height: 100%; object-fit: contain; mix-blend-mode: multiply; }
.badge { position: absolute; top: .5rem; left: .5rem; padding: .12rem .55rem; border-radius: 99px; background: #fff; color: #1d2127; font-size: .75rem; font-weight: 600; box-shadow: 0 1px 3px rgb(0 0 0 / .16); }
.brand, .score { display: block; color: var(--soft); font-size: .8rem; font-variant-numeric: tabular-nums; }
.title { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; font-size: .92rem; line-height: 1.34; min-height: 2.68em; overflow-wrap: anywhere; }
.card a:hover .title { text-decoration: underline; text-underline-offset: .2em; }
.price { display: block; font-size: .92rem; font-weight: 640; font-variant-numeric: tabular-nums; }
.soft { color: var(--soft); font-weight: 400; }
details { font-size: .8rem; }
summary { display: inline-flex; align-items: center; min-height: 32px; color: var(--soft); cursor: pointer; text-decoration: underline; text-underline-offset: .2em; list-style: none; }
summary::-webkit-details-marker { display: none; }
dl > div { display: flex; justify-content: space-between; gap: .75rem; }
dt { color: var(--soft); } dd { font-variant-numeric: tabular-nums; }
.skeleton .plate { background: var(--sunk); animation: rest 1.1s ease-in-out infinite alternate; }
.skeleton::after { content: ""; display: block; height: 4.6rem; }
@keyframes rest { to { opacity: .45; } }
.foot { padding: .5rem 1.5rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .78rem; text-align: center; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (min-width: 52rem) {
  .main[data-asked] { grid-template-columns: 20rem minmax(0, 1fr); overflow: hidden; }
  .main[data-asked] > * { min-height: 0; overflow-y: auto; }
  .main[data-asked] .side { border-right: 1px solid var(--line); }
  .main:not([data-asked]) .side { align-self: center; width: min(34rem, 100%); justify-self: center; }
}
@media (max-width: 51.99rem) {
  dialog { width: 100vw; height: 94dvh; margin: auto 0 0; border-radius: 22px 22px 0 0; }
  .side { padding: 1rem 1rem 0; } .results { padding: 1rem; } .head { padding-left: 1rem; }
  .stage { --crop-height: 34svh; }
}
@media (prefers-reduced-motion: reduce) { *, ::before, ::after { animation: none !important; transition: none !important; } }
`;

/** Put the style into a shadow root. */
export function adoptStyle(root) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
}
