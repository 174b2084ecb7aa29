/* One rotation report as a page of its own: to read, to print, to keep. It needs no framework: it is drawn once. */

import { dagUrl, result, runUrl, signInUrl, tasksOf } from "./api.js";
import * as words from "./words.js";

/* An element. Texts are added as text, never as markup. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const query = new URLSearchParams(location.search);
const place = {
  dagId: query.get("dag_id") ?? "",
  runId: query.get("run_id") ?? "",
  taskId: query.get("task_id") || "report",
  mapIndex: Number(query.get("map_index") ?? -1),
};

async function show() {
  if (localStorage.getItem("theme")?.includes("dark")) document.documentElement.classList.add("dark");
  const main = document.getElementById("report");
  try {
    const [report, tasks] = await Promise.all([
      result(place.dagId, place.runId, place.taskId, place.mapIndex),
      tasksOf(place.dagId, place.runId),
    ]);
    main.replaceChildren(...(report ? page(report, tasks) : missing()));
    if (report) document.title = `Rotation report: ${report.webhook}, ${report.at.slice(0, 10)}`;
  } catch (error) {
    main.replaceChildren(...failed(error));
  }
}

function failed(error) {
  const wayOn = error.status === 401 ? [signInUrl(), "Sign in"] : [location.href, "Try again"];
  return [
    h("h1", {}, "The report can't be shown"),
    h("p", { role: "alert" }, error.message),
    h("p", {}, h("a", { href: wayOn[0] }, wayOn[1]), " · ", h("a", { href: runUrl(place.dagId, place.runId) }, "The run in Airflow")),
  ];
}

function missing() {
  return [
    h("h1", {}, "There is no such report"),
    h("p", { role: "alert" }, "The run has not ended yet, or Airflow has deleted its results. Clear the task report to have it made again."),
    h("p", {}, h("a", { href: runUrl(place.dagId, place.runId) }, "The run in Airflow")),
  ];
}

function page(report, tasks) {
  return [
    head(report),
    verdict(report),
    section("What happened", facts(happened(report))),
    section("Before and after", facts(beforeAfter(report))),
    stores(report),
    section("Proof", facts(proof(report))),
    timeline(tasks),
    notes(report),
    h("p", { class: "fb-muted fb-small fb-foot" }, "Fingerprints are the first 16 hex digits of the secret's SHA-256. This report holds no secret."),
  ].filter(Boolean);
}

function head(report) {
  const print = h("button", { type: "button", class: "fb-button" }, "Print");
  print.addEventListener("click", () => window.print());
  return h(
    "header",
    { class: "fb-head" },
    h("div", {}, h("h1", {}, `Rotation report: ${report.webhook}`), h("p", { class: "fb-muted" }, words.moment(report.at))),
    h("div", { class: "fb-buttons" }, print),
  );
}

function verdict(report) {
  const tone = { good: "good", none: "none", warn: "warn", bad: "bad" }[words.outcomeTone(report.outcome)];
  return h(
    "div",
    { class: `fb-verdict fb-${tone}` },
    h(
      "div",
      {},
      h("p", { class: "fb-verdict-text" }, sentence(words.outcomeName(report.outcome))),
      h("p", { class: "fb-todo" }, report.advice ?? ""),
      report.cause ? h("p", { class: "fb-todo fb-muted" }, `Cause: ${report.cause}`) : null,
    ),
  );
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const section = (title, ...content) => h("section", {}, h("div", { class: "fb-section-head" }, h("h2", {}, title)), ...content);

/* Names with their values; those without a value are left out. */
function facts(entries) {
  const known = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "fb-facts" }, known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function happened(report) {
  return [
    ["Webhook", `${report.webhook_id ?? "id not read"} at ${report.host ?? "unknown host"}`],
    ["Mode", words.plain(report.mode ?? "unknown")],
    ["Triggered by", report.by],
    ["Approved by", report.approval ? `${report.approval.by}, ${words.moment(report.approval.at)}` : null],
    ["Reason", report.reason],
    ["Dag", h("a", { href: dagUrl(report.dag_id) }, report.dag_id)],
    ["Run", h("a", { href: runUrl(report.dag_id, report.run_id) }, report.run_id)],
    ["Refreshed at", words.moment(report.refreshed_at)],
    ["Webhook's status", report.status],
    ...pairFacts(report.pair),
  ];
}

function pairFacts(pair) {
  if (!pair) return [];
  const statuses = Object.entries(pair.statuses ?? {}).map(([half, status]) => `${half} is ${status}`);
  return [
    ["Pair", statuses.join(", ")],
    ["Set active at", words.moment(pair.activated_at)],
    ["Paused at", words.moment(pair.paused_at)],
    ["Both secrets until", words.moment(pair.keeps_until)],
  ];
}

function beforeAfter(report) {
  const code = (fingerprint) => h("code", {}, fingerprint ?? "not read");
  return [
    ["Secret before", code(report.before)],
    ["Secret after", code(report.after)],
    ["Refreshes", refreshes(report.refreshes)],
  ];
}

function refreshes(counted) {
  if (!counted) return null;
  const own = counted.by_run === null ? "this run can't tell" : `${counted.by_run} by this run`;
  return counted.logged ? `${own}, ${counted.logged.length} in Featurebase's audit log` : own;
}

function proof(report) {
  const judged = (part) => (part ? `${words.plain(part.result ?? part.kind)}: ${part.detail}` : null);
  const exposure = report.receiver_exposure_ms;
  return [
    ["Probe before", judged(report.found?.probe)],
    ["Probe", judged(report.probe) ?? "not configured, or not reached"],
    ["Receiver exposure", exposure === null || exposure === undefined ? null : `at most ${words.exposure(exposure)}`],
    ["Deliveries", judged(report.delivery) ?? "not waited for"],
    ["Refusals", report.pair?.polls ? `${report.pair.refused} failed deliveries seen in ${report.pair.polls} reads` : null],
  ];
}

function after(milliseconds) {
  return milliseconds === null || milliseconds === undefined ? "" : words.exposure(milliseconds);
}

function stores(report) {
  if (report.stores?.length) {
    const rows = report.stores.map((store) => [
      store.label,
      h("code", {}, store.target),
      state(store.result, store.problem ?? store.detail),
      h("code", {}, store.fingerprint ?? "unknown"),
      after(store.readable_ms),
      after(store.confirmed_ms ?? store.exposure_ms), // the latter in reports of older versions
    ]);
    return section("Stores", table("Stores", ["Store", "Target", "Result", "Holds", "Readable after", "Confirmed after"], rows));
  }
  if (!report.found?.stores?.length) return null;
  const rows = report.found.stores.map((store) => [
    store.label,
    h("code", {}, store.target),
    words.holdingName(store.holding),
    h("code", {}, store.fingerprint ?? ""),
    store.said,
  ]);
  return section("Stores, as preflight found them", table("Stores", ["Store", "Target", "Holds", "Fingerprint", "Can it be written"], rows));
}

function state(name, why) {
  const tone = { written: "good", unchanged: "good", failed: "bad", not_armed: "bad", unknown: "warn" }[name] ?? "none";
  return h("div", {}, h("span", { class: `fb-state fb-${tone}` }, words.plain(name)), why ? h("div", { class: "fb-small fb-muted" }, why) : null);
}

function table(label, columns, rows) {
  const head = h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map((row) => h("tr", {}, row.map((cell, index) => (index ? h("td", {}, cell) : h("th", { scope: "row" }, cell)))));
  return h(
    "div",
    { class: "fb-panel fb-scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", {}, h("thead", {}, head), h("tbody", {}, body)),
  );
}

/* The tasks that have begun, each with its share of the run's time. */
function timeline(tasks) {
  const begun = tasks.filter((task) => task.start_date && (place.mapIndex < 0 || task.map_index === place.mapIndex));
  if (!begun.length) return null;
  const end = (task) => Date.parse(task.end_date ?? task.start_date);
  const first = Math.min(...begun.map((task) => Date.parse(task.start_date)));
  const whole = Math.max(...begun.map(end)) - first || 1;
  const rows = begun.map((task) => {
    const from = Date.parse(task.start_date) - first;
    return [task.task_id, taskState(task.state), `+${words.span(from)}`, words.span(end(task) - from - first), bar(from / whole, (end(task) - from - first) / whole)];
  });
  return section("Timeline", table("Timeline", ["Task", "State", "Began", "Took", "When"], rows));
}

function taskState(name) {
  const tone = { success: "good", failed: "bad", upstream_failed: "bad", up_for_retry: "warn" }[name] ?? "none";
  return h("span", { class: `fb-state fb-${tone}` }, words.plain(name ?? "none"));
}

function bar(from, share) {
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const track = svg("svg", { class: "fb-track", width: "100%", height: "12", "aria-hidden": "true" });
  track.append(svg("rect", { x: `${from * 100}%`, y: "2", height: "8", rx: "2", width: `${Math.max(share * 100, 0.6)}%` }));
  return track;
}

function notes(report) {
  const said = (report.tasks ?? []).filter((task) => task.why).map((task) => `${task.task_id} (${task.state}): ${task.why}`);
  const all = [...(report.notes ?? []), ...said];
  return all.length ? section("Notes", h("ul", { class: "fb-notes" }, all.map((note) => h("li", {}, note)))) : null;
}

show();
