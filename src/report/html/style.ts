// The look of the page: one palette for light and dark, screen and paper. No text, no figures.

/** Everything that the page is styled by. It stands inside a style element, and its digest in the page's own policy. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --raised: #f6f6f3; --ink: #1d2026; --soft: #5a606b; --hair: #e3e3de; --rule: #c9c9c3;
  --baseline: #2f6690; --candidate: #b8561b; --good: #1f7a5c; --bad: #b3261e; --warn: #8a5a00; --idle: #b9bcc2;
  --band: #b8561b2e; --good-wash: #1f7a5c14; --bad-wash: #b3261e12; --warn-wash: #8a5a0014;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14161a; --raised: #1b1e24; --ink: #e7e8ea; --soft: #a2a8b3; --hair: #292d35; --rule: #444a55;
    --baseline: #7fb4e3; --candidate: #f0a06a; --good: #6cc9a8; --bad: #f28b82; --warn: #e5b567; --idle: #565c68;
    --band: #f0a06a33; --good-wash: #6cc9a81a; --bad-wash: #f28b821a; --warn-wash: #e5b5671a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.55 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main, header, footer { max-width: 1160px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 44px; }
h1, h2, h3, p, dl, dd, ul, table { margin: 0; padding: 0; }
.eyebrow { color: var(--soft); font-size: 13px; }
.eyebrow b { color: var(--ink); font-weight: 600; }
h1 { font-size: 27px; line-height: 1.28; font-weight: 600; letter-spacing: -0.012em; max-width: 40em; margin: 10px 0 0; text-wrap: pretty; }
h1 .word { text-transform: capitalize; }
.promote, .safe, .good { color: var(--good); }
.abort, .invalid, .guilty, .bad { color: var(--bad); }
.hold, .open, .waived, .warn { color: var(--warn); }
.continue { color: var(--baseline); }
.watched, .soft { color: var(--soft); }
.needs { list-style: none; margin-top: 14px; max-width: 62em; }
.needs li { padding-left: 18px; position: relative; }
.needs li::before { content: ""; position: absolute; left: 2px; top: .66em; width: 6px; height: 6px; border-radius: 50%; border: 1.5px solid var(--warn); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 210px), 1fr)); gap: 16px 28px; margin-top: 28px; padding: 18px 0; border-top: 1px solid var(--hair); border-bottom: 1px solid var(--hair); }
.facts dt { color: var(--soft); font-size: 12.5px; }
.facts dd small { color: var(--soft); font-size: 12.5px; display: block; }
section { padding-top: 40px; }
h2 { font-size: 18px; line-height: 1.3; font-weight: 600; letter-spacing: -0.005em; margin-bottom: 4px; }
h3 { font-size: 15px; font-weight: 600; }
section > p, .lead { color: var(--soft); max-width: 68em; margin-bottom: 16px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 34px 40px; }
.panels + .scroll { margin-top: 32px; }
.panels table { height: fit-content; }
.aligned figure { display: grid; grid-row: span 7; grid-template-rows: subgrid; row-gap: 0; align-content: start; }
.aligned { row-gap: 0; }
.aligned figure > :last-child { margin-bottom: 30px; }
.aligned + .scroll { margin-top: 10px; }
@media (min-width: 800px) { .rest { grid-column: 2 / -1; } }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { display: flex; align-items: baseline; gap: 10px; justify-content: space-between; }
figure > p { color: var(--soft); font-size: 13px; }
.state { font-size: 12.5px; font-weight: 600; white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; margin: 6px 0 8px; color: var(--soft); }
.figures b { color: var(--ink); font-weight: 600; }
svg { display: block; width: 100%; max-width: 440px; height: auto; margin-top: 6px; overflow: visible; }
svg.bar { max-width: none; height: 20px; margin: 4px 0 18px; }
svg text { font: 11px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; fill: var(--ink); }
svg .tick { fill: var(--soft); }
svg .cell { font-size: 10px; }
svg .grid { stroke: var(--hair); }
svg .axis { stroke: var(--rule); }
svg .enough { stroke: var(--rule); stroke-dasharray: 2 3; }
svg .step { stroke: var(--rule); stroke-dasharray: 1 3; }
svg .limit { stroke: var(--bad); fill: none; stroke-width: 1.25; stroke-dasharray: 5 3; }
svg .solid { stroke-dasharray: none; stroke-width: 2; }
svg .mean { stroke: var(--ink); stroke-width: 1.25; }
svg .band { fill: var(--band); }
svg .whisker { stroke: var(--band); stroke-width: 7; }
svg .candidate, svg .baseline, svg .harm, svg .safety { fill: none; stroke-width: 1.75; stroke-linejoin: round; }
svg .candidate { stroke: var(--candidate); }
svg .baseline { stroke: var(--baseline); }
svg .harm { stroke: var(--bad); }
svg .safety { stroke: var(--good); }
svg .dot { fill: var(--candidate); stroke: var(--paper); stroke-width: 1.5; }
svg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
svg text.bad { fill: var(--bad); }
svg text.good { fill: var(--good); }
svg .bar-b { fill: var(--baseline); }
svg .bar-c { fill: var(--candidate); }
svg .bar-good { fill: var(--good); }
svg .bar-bad { fill: var(--bad); }
svg .bar-warn { fill: var(--warn); }
svg .bar-idle { fill: var(--idle); }
svg .frame { fill: var(--raised); }
svg .same { fill: var(--baseline); }
svg .other { fill: var(--candidate); }
svg.spark { display: inline-block; vertical-align: middle; width: 120px; height: 12px; margin: 0; }
.swatch { display: inline-block; width: 10px; height: 10px; margin: 0 8px 0 0; vertical-align: baseline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; overflow-wrap: normal; }
th, td { text-align: left; padding: 5px 14px 5px 0; vertical-align: top; border-bottom: 1px solid var(--hair); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 500; font-size: 12.5px; border-bottom-color: var(--rule); white-space: nowrap; }
tbody th { font-weight: 500; }
.r { text-align: right; white-space: nowrap; }
.wide { overflow-wrap: anywhere; min-width: 9em; }
.setting { text-align: right; overflow-wrap: anywhere; min-width: 5em; }
.name { overflow-wrap: anywhere; min-width: 8.5em; }
table.narrow { max-width: 720px; }
.under { padding-left: 16px; font-weight: 400; color: var(--soft); }
tr.row-guilty { background: var(--bad-wash); }
.none { color: var(--soft); font-size: 13.5px; padding: 10px 0; }
.note { border-left: 3px solid var(--warn); background: var(--warn-wash); padding: 10px 14px; margin: 16px 0 0; max-width: 68em; }
code, .digest { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; overflow-wrap: anywhere; }
details { font-size: 13px; margin-top: 6px; color: var(--soft); }
summary { cursor: pointer; width: fit-content; }
summary:focus-visible { outline: 2px solid var(--baseline); outline-offset: 2px; }
details .scroll { max-height: 280px; overflow: auto; color: var(--ink); margin-top: 6px; }
footer { padding-top: 44px; padding-bottom: 56px; color: var(--soft); font-size: 13px; }
footer h2 { color: var(--ink); }
footer p { max-width: 68em; margin-top: 6px; }
@media (max-width: 640px) {
  main, header, footer { padding-left: 18px; padding-right: 18px; }
  header { padding-top: 26px; }
  h1 { font-size: 21px; }
  .facts { grid-template-columns: 1fr 1fr; gap: 14px 18px; }
  svg { max-width: none; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --raised: #f4f4f1; --ink: #15171b; --soft: #50555e; --hair: #dcdcd7; --rule: #b5b5af;
    --baseline: #2f6690; --candidate: #b8561b; --good: #1f7a5c; --bad: #b3261e; --warn: #8a5a00; --idle: #b9bcc2;
    --band: #b8561b2e; --good-wash: #1f7a5c14; --bad-wash: #b3261e12; --warn-wash: #8a5a0014;
  }
  @page { size: A4; margin: 15mm 14mm 16mm; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10.5pt; }
  main, header, footer { max-width: none; padding-left: 0; padding-right: 0; }
  header { padding-top: 0; }
  h1 { font-size: 17pt; }
  h2 { font-size: 13pt; break-after: avoid; }
  h3, figcaption, section > p { break-after: avoid; }
  section { padding-top: 22pt; }
  .facts { grid-template-columns: repeat(3, 1fr); }
  .panels { grid-template-columns: 1fr 1fr; gap: 18pt 22pt; }
  table { font-size: 8.5pt; }
  tr, .facts, .note, .whole { break-inside: avoid; }
  .thirds { grid-template-columns: repeat(3, 1fr); gap: 0 16pt; }
  thead { display: table-header-group; }
  .name { min-width: 11em; }
  .panels .name { min-width: 0; }
  details { display: none; }
  .scroll { overflow: visible; }
  footer { padding-bottom: 0; }
}
`
