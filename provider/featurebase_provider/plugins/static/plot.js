/* A year of rotations: when, and for how long a store did not know the new secret yet. One dot a run. */

import { DAY, exposure, isDone, outcomeName, plural } from "./words.js";

const h = (...args) => globalThis.React.createElement(...args);

const YEAR = 365 * DAY;
const WIDTH = 1200;
const HEIGHT = 210;
const LEFT = 64;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 28;
const LOWEST = 3; // milliseconds at the foot of the scale
const TICKS = [10, 100, 1000, 10_000, 60_000, 600_000, 3_600_000];

export function Year({ webhooks, now = Date.now() }) {
  const runs = webhooks
    .flatMap((webhook) => webhook.runs.map((run) => ({ ...run, name: webhook.name, time: Date.parse(run.at) })))
    .filter((run) => run.time > now - YEAR);
  const months = byMonth(runs);
  return h(
    "section",
    { "aria-labelledby": "fb-year" },
    h(
      "div",
      { className: "fb-section-head" },
      h("h2", { id: "fb-year" }, "The past year"),
      h("p", { className: "fb-muted" }, summary(runs)),
    ),
    runs.length > 0 &&
      h(
        "div",
        { className: "fb-panel fb-plot" },
        h(Legend, { refusals: runs.some((run) => run.refused) }),
        h("div", { className: "fb-scroll", tabIndex: 0, role: "region", "aria-label": "Plot of the year" }, h(Dots, { runs, now })),
        h("details", null, h("summary", null, "The same as a table"), h(Months, { months })),
      ),
  );
}

function summary(runs) {
  if (!runs.length) return "No run was recorded yet.";
  const failed = runs.filter((run) => !isDone(run.outcome)).length;
  const refused = runs.reduce((sum, run) => sum + (run.refused ?? 0), 0);
  const typical = median(runs.map(exposureOf).filter((value) => value !== null));
  return [
    plural(runs.length, "run"),
    failed ? `${failed} not done` : "all done",
    typical === null ? null : `median exposure ${exposure(typical)}`,
    refused ? `${plural(refused, "refused delivery", "refused deliveries")} seen` : "no refused delivery seen",
  ]
    .filter(Boolean)
    .join(" · ");
}

/* Until the receiver accepted the new secret, where a probe told; else until the last store had it. */
function exposureOf(run) {
  return run.receiver_exposure_ms ?? run.exposure_ms ?? null;
}

function median(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}

function Legend({ refusals }) {
  const mark = (shape) => h("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": true, style: { width: 14 } }, shape);
  return h(
    "p",
    { className: "fb-legend fb-small fb-muted" },
    h("span", null, mark(h("circle", { className: "fb-dot-good", cx: 7, cy: 7, r: 5 })), "done"),
    h("span", null, mark(h("path", { className: "fb-dot-bad", d: diamond(7, 7, 6) })), "not done"),
    refusals && h("span", null, mark(h("circle", { className: "fb-dot-refused", cx: 7, cy: 7, r: 5.5 })), "deliveries refused"),
    h("span", null, "height: exposure, the time from the refresh until receivers could read the new secret; on the line: not measured"),
  );
}

function Dots({ runs, now }) {
  const longest = Math.max(1000, ...runs.map((run) => exposureOf(run) ?? 0));
  const x = (time) => LEFT + ((time - (now - YEAR)) / YEAR) * (WIDTH - LEFT - RIGHT);
  const y = (value) => {
    const share = Math.log10(Math.max(value ?? 0, LOWEST) / LOWEST) / Math.log10((longest * 1.6) / LOWEST);
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
  };
  const ticks = TICKS.filter((tick) => tick <= longest * 1.6);
  return h(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `A year of rotations: ${summary(runs)}` },
    ticks.map((tick) =>
      h(
        "g",
        { key: tick },
        h("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
        h("text", { x: LEFT - 10, y: y(tick) + 4, textAnchor: "end" }, exposure(tick)),
      ),
    ),
    h("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    monthStarts(now).map(({ time, name }) => h("text", { key: time, x: x(time), y: HEIGHT - 8 }, name)),
    h("path", { className: "fb-dot-good", d: quiet(runs).map((run) => disc(x(run.time), y(exposureOf(run)), 4.5)).join("") }),
    loud(runs).map((run, index) => h(Dot, { key: index, run, x: x(run.time), y: y(exposureOf(run)) })),
  );
}

/* Most runs were done and refused nothing: they are one shape together, which a browser draws fast. */
const isQuiet = (run) => isDone(run.outcome) && !run.refused;
const quiet = (runs) => runs.filter(isQuiet);
const loud = (runs) => runs.filter((run) => !isQuiet(run));

function Dot({ run, x, y }) {
  const title = `${run.name}, ${run.at.slice(0, 10)}: ${outcomeName(run.outcome)}, ${exposure(exposureOf(run))}`;
  return h(
    "g",
    null,
    h("title", null, title),
    isDone(run.outcome)
      ? h("circle", { className: "fb-dot-good", cx: x, cy: y, r: 4.5 })
      : h("path", { className: "fb-dot-bad", d: diamond(x, y, 6.5) }),
    run.refused > 0 && h("circle", { className: "fb-dot-refused", cx: x, cy: y, r: 8 }),
  );
}

const disc = (x, y, r) => `M${x.toFixed(1)} ${y.toFixed(1)}m${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
const diamond = (x, y, size) => `M${x} ${y - size}L${x + size} ${y}L${x} ${y + size}L${x - size} ${y}Z`;

function monthStarts(now) {
  const today = new Date(now);
  return Array.from({ length: 12 }, (_, back) => {
    const start = new Date(today.getFullYear(), today.getMonth() - back, 1);
    return { time: start.getTime(), name: start.toLocaleString("en", { month: "short" }) };
  }).filter(({ time }) => time > now - YEAR);
}

function byMonth(runs) {
  const months = new Map();
  for (const run of runs) {
    const month = run.at.slice(0, 7);
    months.set(month, [...(months.get(month) ?? []), run]);
  }
  return [...months].sort().reverse();
}

function Months({ months }) {
  const row = ([month, runs]) => [
    month,
    runs.length,
    runs.filter((run) => !isDone(run.outcome)).length,
    exposure(median(runs.map(exposureOf).filter((value) => value !== null))),
    runs.reduce((sum, run) => sum + (run.refused ?? 0), 0),
  ];
  return h(
    "div",
    { className: "fb-scroll", tabIndex: 0, role: "region", "aria-label": "Runs by month" },
    h(
      "table",
      null,
      h(
        "thead",
        null,
        h("tr", null, ["Month", "Runs", "Not done", "Median exposure", "Refusals seen"].map((name) => h("th", { key: name, scope: "col" }, name))),
      ),
      h(
        "tbody",
        null,
        months.map((entry) =>
          h("tr", { key: entry[0] }, row(entry).map((cell, index) => h(index ? "td" : "th", { key: index, scope: index ? undefined : "row" }, cell))),
        ),
      ),
    ),
  );
}
