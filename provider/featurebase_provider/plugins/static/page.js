/* The page "Webhook secrets" of airflow-provider-featurebase: all webhooks' secrets at a glance, and what to do.

   Airflow loads this module into its own UI and renders the component that it registers. It uses the React of the UI
   around it, and Airflow's REST API with the reader's own session. There is no build step. */

import { EMERGENCY_DAG, REPORT_VERSION, dagUrl, overview, runUrl, signInUrl } from "./api.js";
import { RunDialog } from "./dialog.js";
import { Findings } from "./findings.js";
import { Year } from "./plot.js";
import { Webhooks } from "./webhooks.js";
import { ago, isUrgent, moment, plural } from "./words.js";

const { createElement, useCallback, useEffect, useLayoutEffect, useState } = globalThis.React;
const h = createElement;
const AUDIT_DAG = "featurebase_audit";

/* The style sheet is there before the first paint. */
await new Promise((resolve) => {
  const link = Object.assign(document.createElement("link"), {
    rel: "stylesheet",
    href: new URL("page.css", import.meta.url).href,
    onload: resolve,
    onerror: resolve,
  });
  document.head.append(link);
});

function Page() {
  const [state, setState] = useState({ phase: "loading" });
  const [request, setRequest] = useState(null);

  const load = useCallback(async () => {
    try {
      const data = await overview();
      performance.mark("featurebase:answered");
      setState({ phase: "ready", data });
    } catch (error) {
      setState({ phase: "failed", error });
    }
  }, []);
  useEffect(() => void load(), [load]);
  useLayoutEffect(() => {
    if (state.phase === "ready") performance.mark("featurebase:shown");
  }, [state]);

  const act = (action, name) => setRequest({ ...targetOf(action, name, state.data), action, name });
  return h(
    "div",
    { className: "fb" },
    state.phase === "loading" && h(Loading),
    state.phase === "failed" && h(Failed, { error: state.error, retry: load }),
    state.phase === "ready" && h(Ready, { data: state.data, act, refresh: load }),
    request && h(RunDialog, { request, close: () => setRequest(null), started: load }),
  );
}

/* The Dag that an action triggers, and whether it is paused. */
function targetOf(action, name, { dags, audit }) {
  const own = audit?.report.webhooks?.find((webhook) => webhook.name === name)?.dag_id;
  const dagId = { audit: AUDIT_DAG, emergency: EMERGENCY_DAG }[action] ?? own;
  return { dagId, paused: dags.find((dag) => dag.dag_id === dagId)?.is_paused ?? false };
}

function Loading() {
  return h(
    "div",
    { role: "status" },
    h("h1", null, "Webhook secrets"),
    h("span", { className: "fb-hidden" }, "Loading"),
    [1, 2, 3].map((number) => h("div", { key: number, className: "fb-skeleton" })),
  );
}

const PROBLEMS = {
  401: ["Your session has ended", "Sign in to Airflow again. You come back to this page."],
  403: ["You may not see this", "This page needs the right to read this provider's Dags, their runs and XComs. Ask whoever manages Airflow's roles."],
};

function Failed({ error, retry }) {
  const [title, text] = PROBLEMS[error.status] ?? ["This page could not be loaded", error.message];
  return h(
    "div",
    null,
    h("h1", null, "Webhook secrets"),
    h(
      "div",
      { className: "fb-panel fb-empty", role: "alert", style: { marginTop: 16 } },
      h("h2", null, title),
      h("p", null, text),
      error.status === 401
        ? h("a", { className: "fb-button fb-main", href: signInUrl() }, "Sign in")
        : h("button", { type: "button", className: "fb-button", onClick: retry }, "Try again"),
    ),
  );
}

function Ready({ data, act, refresh }) {
  const { dags, audit, live, since } = data;
  const report = audit?.report;
  const auditRun = live.find((run) => run.dag_id === AUDIT_DAG);
  const head = h(Head, { audit, auditRun, act, refresh, has: (dagId) => dags.some((dag) => dag.dag_id === dagId) });
  if (!report || report.version < REPORT_VERSION) return h("div", null, head, h(BeforeAudit, { dags, auditRun, outdated: Boolean(report), act }));
  const advice = new Map(report.advice.map((entry) => [entry.kind, entry.text]));
  const byId = new Map(dags.map((dag) => [dag.dag_id, dag]));
  return h(
    "div",
    null,
    head,
    h(Verdict, { report, dags }),
    h(Stale, { since, report }),
    h(Findings, { findings: report.findings, advice, act, can: (action, name) => byId.has(targetOf(action, name, data).dagId) }),
    h(Year, { webhooks: report.webhooks }),
    h(Webhooks, { webhooks: report.webhooks, findings: report.findings, dags: byId, live, act }),
  );
}

function Head({ audit, auditRun, act, refresh, has }) {
  const button = (label, onClick, danger = false) =>
    h("button", { type: "button", className: `fb-button ${danger ? "fb-danger" : ""}`, onClick }, label);
  return h(
    "header",
    { className: "fb-head" },
    h(
      "div",
      null,
      h("h1", null, "Webhook secrets"),
      h(
        "p",
        { className: "fb-muted" },
        audit
          ? h("span", { title: moment(audit.report.at) }, "As of the ", h("a", { href: runUrl(AUDIT_DAG, audit.runId) }, "audit"), ` ${ago(audit.report.at)}`)
          : "The signing secrets of Featurebase webhooks",
        auditRun && h("span", null, " · ", h("a", { href: runUrl(AUDIT_DAG, auditRun.dag_run_id) }, `an audit is ${auditRun.state}`)),
      ),
    ),
    h(
      "div",
      { className: "fb-buttons" },
      button("Refresh", refresh),
      has(AUDIT_DAG) && button("Audit again", () => act("audit")),
      has(EMERGENCY_DAG) && button("Emergency…", () => act("emergency"), true),
    ),
  );
}

function Verdict({ report, dags }) {
  const open = report.findings.filter((finding) => !finding.ignored);
  const urgent = open.some((finding) => isUrgent(finding.kind));
  const tone = urgent ? "bad" : report.open ? "warn" : "good";
  const text = report.open ? plural(report.open, "finding needs attention", "findings need attention") : "All secrets are as they should be";
  return h(
    "div",
    { className: `fb-verdict fb-${tone}` },
    h("p", { className: "fb-verdict-text" }, text),
    h("dl", { className: "fb-figures" }, figuresOf(report, dags).map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value)))),
  );
}

function figuresOf(report, dags) {
  const stores = report.webhooks.flatMap((webhook) => webhook.stores);
  const pairs = report.webhooks.filter((webhook) => webhook.halves.length).length;
  const oldest = report.webhooks.filter((webhook) => webhook.aged.at_least !== null).sort((one, other) => other.aged.at_least - one.aged.at_least)[0];
  return [
    ["Webhooks", pairs ? `${report.webhooks.length}, ${plural(pairs, "pair")} among them` : report.webhooks.length],
    ["Stores up to date", `${stores.filter((store) => store.holding === "matches").length} of ${stores.length}`],
    ["Oldest secret", oldest?.age ?? "unknown"],
    ["Next rotation", nextRotation(dags)],
  ];
}

function nextRotation(dags) {
  const rotations = dags.filter((dag) => dag.dag_id.startsWith("featurebase_rotate__"));
  if (rotations.length && rotations.every((dag) => dag.is_paused)) return "none: every rotation Dag is paused";
  const next = rotations.filter((dag) => !dag.is_paused).map((dag) => dag.next_dagrun_run_after);
  const first = next.filter(Boolean).sort()[0];
  return first ? ago(first) : "none scheduled";
}

/* Runs that have begun since the audit: what is shown may be out of date. */
function Stale({ since, report }) {
  const others = since.filter((run) => run.dag_id !== AUDIT_DAG);
  if (!others.length) return null;
  return h(
    "p",
    { className: "fb-note", role: "status" },
    `${plural(others.length, "run")} began since the audit (${ago(report.at)}): `,
    others.slice(0, 5).map((run, index) =>
      h("span", { key: run.dag_run_id }, index > 0 && ", ", h("a", { href: runUrl(run.dag_id, run.dag_run_id) }, `${shortDag(run.dag_id)} ${run.state}`)),
    ),
    others.length > 5 && ` and ${others.length - 5} more`,
    ". Audit again to see their result here.",
  );
}

const shortDag = (dagId) => dagId.replace("featurebase_rotate__", "").replace("featurebase_", "");

/* Before the first audit, or after an upgrade: what there is to see are the Dags. */
function BeforeAudit({ dags, auditRun, outdated, act }) {
  const rotations = dags.filter((dag) => dag.dag_id.startsWith("featurebase_rotate__"));
  const hasAudit = dags.some((dag) => dag.dag_id === AUDIT_DAG);
  return h(
    "div",
    { className: "fb-panel fb-empty" },
    h("h2", null, titleBefore(dags, outdated)),
    h("p", null, dags.length ? textBefore(auditRun, hasAudit) : NOTHING),
    hasAudit && !auditRun && h("button", { type: "button", className: "fb-button fb-main", onClick: () => act("audit") }, "Run the audit"),
    rotations.length > 0 &&
      h(
        "div",
        null,
        h("h3", null, plural(rotations.length, "webhook")),
        h("ul", null, rotations.map((dag) => h("li", { key: dag.dag_id }, h("a", { href: dagUrl(dag.dag_id) }, shortDag(dag.dag_id)), dag.is_paused && h("span", { className: "fb-muted" }, " (Dag is paused)")))),
      ),
  );
}

const NOTHING =
  "There is no Dag of this provider that you may see. Copy its Dag files into the Dags folder with the command " +
  "“featurebase example-dags”, and name your webhooks in the rotation file.";

function titleBefore(dags, outdated) {
  if (!dags.length) return "Nothing is set up yet";
  return outdated ? "The newest audit is by an older version" : "No audit has ended yet";
}

function textBefore(auditRun, hasAudit) {
  if (auditRun) return `An audit is ${auditRun.state}. Refresh this page when it has ended.`;
  if (!hasAudit) return "There is no audit Dag. Add one with audit_dag(), or copy the example Dags: this page shows what the audit reads.";
  return "This page shows what the newest audit read. The audit compares all webhooks and their stores with Featurebase, and changes nothing.";
}

globalThis["Webhook secrets"] = Page;
