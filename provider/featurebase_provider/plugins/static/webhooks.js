/* All webhooks in one table: status, secret and age, last run, stores, deliveries, next run, and what can be done. */

import { dagUrl, reportUrl, runUrl } from "./api.js";
import * as words from "./words.js";

const { createElement, Fragment, useMemo, useState } = globalThis.React;
const h = createElement;

const COLUMNS = ["Webhook", "Status", "Secret", "Last run", "Stores", "Deliveries", "Next run", "Actions"];

export function Webhooks({ webhooks, findings, dags, live, act }) {
  const [search, setSearch] = useState("");
  const [onlyFindings, setOnlyFindings] = useState(false);
  const rows = useMemo(() => sorted(webhooks, findings), [webhooks, findings]);
  const wanted = search.trim().toLowerCase();
  const shown = rows.filter(
    (row) => (!onlyFindings || row.findings.length) && (!wanted || searchable(row.webhook).includes(wanted)),
  );
  return h(
    "section",
    { "aria-labelledby": "fb-webhooks" },
    h(
      "div",
      { className: "fb-section-head" },
      h("h2", { id: "fb-webhooks" }, "Webhooks"),
      h(
        "div",
        { className: "fb-filter" },
        h(
          "label",
          { className: "fb-check" },
          h("input", { type: "checkbox", checked: onlyFindings, onChange: (event) => setOnlyFindings(event.target.checked) }),
          "With findings only",
        ),
        h("input", {
          type: "search",
          "aria-label": "Search webhooks",
          placeholder: "Search",
          value: search,
          onChange: (event) => setSearch(event.target.value),
        }),
      ),
    ),
    h("p", { className: "fb-hidden", role: "status" }, `${shown.length} of ${rows.length} webhooks shown`),
    h(
      "div",
      { className: "fb-panel fb-scroll" },
      h(
        "table",
        { className: "fb-cards" },
        h("thead", null, h("tr", null, COLUMNS.map((name) => h("th", { key: name, scope: "col" }, name)))),
        h(
          "tbody",
          null,
          shown.map((row) =>
            h(Row, {
              key: row.webhook.name,
              webhook: row.webhook,
              dag: dags.get(row.webhook.dag_id),
              live: live.filter((run) => run.dag_id === row.webhook.dag_id),
              act,
            }),
          ),
          !shown.length && h("tr", null, h("td", { colSpan: COLUMNS.length }, "No webhook matches.")),
        ),
      ),
    ),
  );
}

/* Those with open findings first, then those whose last run was not done, then the oldest secrets. */
function sorted(webhooks, findings) {
  return webhooks
    .map((webhook) => ({ webhook, findings: findings.filter((one) => one.webhook === webhook.name && !one.ignored) }))
    .sort(
      (one, other) =>
        other.findings.length - one.findings.length ||
        notDone(other.webhook) - notDone(one.webhook) ||
        share(other.webhook) - share(one.webhook),
    );
}

const notDone = ({ last_run: run }) => (run && !words.isDone(run.outcome) ? 1 : 0);

function share({ aged }) {
  return aged.max_age ? (aged.at_most ?? aged.at_least ?? 0) / aged.max_age : 0;
}

const searchable = (webhook) =>
  [webhook.name, webhook.webhook_id, webhook.fingerprint, webhook.conn_id, ...webhook.stores.map((store) => store.label)]
    .join(" ")
    .toLowerCase();

function Row({ webhook, dag, live, act }) {
  const [open, setOpen] = useState(false);
  const id = `fb-detail-${webhook.name}`;
  return h(
    Fragment,
    null,
    h(
      "tr",
      null,
      h("th", { scope: "row" }, h(Name, { webhook, dag, open, id, toggle: () => setOpen(!open) })),
      h("td", { "data-label": "Status" }, h(Status, { webhook, live })),
      h("td", { "data-label": "Secret" }, h(Secret, { webhook })),
      h("td", { "data-label": "Last run" }, h(LastRun, { run: webhook.last_run })),
      h("td", { "data-label": "Stores" }, h(Stores, { stores: webhook.stores })),
      h("td", { "data-label": "Deliveries" }, h(Deliveries, { deliveries: webhook.deliveries })),
      h("td", { "data-label": "Next run" }, h(NextRun, { dag })),
      h("td", null, dag ? h(Actions, { name: webhook.name, act }) : h("span", { className: "fb-muted" }, "no Dag of its own")),
    ),
    open && h("tr", { className: "fb-detail", id }, h("td", { colSpan: COLUMNS.length }, h(Details, { webhook }))),
  );
}

function Name({ webhook, dag, open, id, toggle }) {
  return h(
    "div",
    null,
    dag ? h("a", { href: dagUrl(webhook.dag_id) }, webhook.name) : webhook.name,
    webhook.halves.length > 0 && h("span", { className: "fb-muted fb-small" }, " pair"),
    h("br"),
    h(
      "button",
      {
        type: "button",
        className: "fb-button fb-slim fb-toggle",
        "aria-expanded": open,
        "aria-controls": open ? id : undefined,
        "aria-label": `Details of ${webhook.name}`,
        onClick: toggle,
      },
      "Details",
    ),
  );
}

export function State({ tone, children, title }) {
  return h("span", { className: `fb-state fb-${tone}`, title }, children);
}

function Status({ webhook, live }) {
  const halves = webhook.halves.length ? webhook.halves : [{ status: webhook.status, webhook_id: webhook.webhook_id }];
  return h(
    "ul",
    null,
    halves.map((half) =>
      h(
        "li",
        { key: half.webhook_id ?? "", title: half.webhook_id ?? undefined },
        h(State, { tone: halfTone(half, halves) }, half.status ?? "not read"),
      ),
    ),
    live.map((run) =>
      h("li", { key: run.dag_run_id }, h("a", { href: runUrl(run.dag_id, run.dag_run_id) }, `run ${run.state}`)),
    ),
  );
}

/* A paused half beside an active one is what a pair's standby should be. */
function halfTone(half, halves) {
  const standby = halves.length > 1 && half.status === "paused" && halves.some((other) => other.status === "active");
  return standby ? "none" : words.statusTone(half.status);
}

function Secret({ webhook }) {
  const { aged, age, fingerprint } = webhook;
  const part = share(webhook);
  const over = part > 1;
  const tone = over ? "fb-bad" : part > 0.85 ? "fb-warn" : "";
  const days = aged.max_age ? Math.round(aged.max_age / 86400) : null;
  const limit = days === null ? "" : over ? `, overdue after ${days} d` : ` of ${days} d`;
  const text = (age ?? "age unknown") + limit;
  return h(
    "div",
    null,
    h("code", { title: fingerprint ?? undefined }, words.shortFingerprint(fingerprint)),
    days !== null &&
      h(
        "div",
        { className: `fb-bar ${tone}`, "aria-hidden": true },
        h("span", { style: { width: `${Math.min(part, 1) * 100}%` } }),
      ),
    h("div", { className: "fb-small fb-muted" }, over ? h(State, { tone: "bad" }, text) : text),
  );
}

function LastRun({ run }) {
  if (!run) return h("span", { className: "fb-muted" }, "none recorded");
  const measured = run.receiver_exposure_ms ?? run.exposure_ms;
  return h(
    "div",
    null,
    h(State, { tone: words.outcomeTone(run.outcome) }, h("a", { href: reportUrl(run) }, words.outcomeName(run.outcome))),
    " ",
    h("span", { title: words.moment(run.at) }, words.ago(run.at)),
    h("div", { className: "fb-small fb-muted" }, whyOf(run)),
    h(
      "div",
      { className: "fb-small fb-muted" },
      [
        measured === null || measured === undefined ? null : `exposure ${words.exposure(measured)}`,
        typeof run.refused === "number" ? `${words.plural(run.refused, "refusal")} seen` : null,
      ]
        .filter(Boolean)
        .join(", "),
    ),
  );
}

function whyOf(run) {
  const who = run.by ? `by ${run.by === "scheduled" ? "schedule" : run.by}` : "";
  return run.reason ? `${who}: ${run.reason}` : who;
}

function Stores({ stores }) {
  return h(
    "ul",
    null,
    stores.map((store) =>
      h(
        "li",
        { key: store.label, title: store.target },
        h(
          State,
          { tone: words.holdingTone(store.holding) },
          store.holding === "matches"
            ? h(Fragment, null, store.label, h("span", { className: "fb-hidden" }, " holds the current secret"))
            : `${store.label} ${words.holdingName(store.holding)}`,
        ),
      ),
    ),
  );
}

function Deliveries({ deliveries }) {
  if (!deliveries) return h("span", { className: "fb-muted" }, "not read");
  const { failures, last_success_at: success, last_at: last, last_code: code } = deliveries;
  if (failures) {
    return h(
      "div",
      null,
      h(State, { tone: failures > 2 ? "bad" : "warn" }, `${words.plural(failures, "failure")} in a row`),
      h("div", { className: "fb-small fb-muted" }, `last: ${code ?? "no answer"} ${words.ago(last)}`),
    );
  }
  if (!success && !last) return h(State, { tone: "none" }, "none yet");
  return h(State, { tone: "good", title: words.moment(success ?? last) }, `accepted ${words.ago(success ?? last)}`);
}

function NextRun({ dag }) {
  if (!dag) return h("span", { className: "fb-muted" }, "no Dag");
  if (dag.is_paused) return h(State, { tone: "warn" }, "Dag is paused");
  const next = dag.next_dagrun_run_after;
  return next
    ? h("span", { title: words.moment(next) }, words.ago(next))
    : h("span", { className: "fb-muted" }, "not scheduled");
}

function Actions({ name, act }) {
  const button = (action, label) =>
    h(
      "button",
      {
        type: "button",
        className: "fb-button fb-slim",
        "aria-label": `${label} ${name}`,
        onClick: () => act(action, name),
      },
      label,
    );
  return h(
    "div",
    { className: "fb-actions" },
    button("rotate", "Rotate"),
    button("rehearse", "Rehearse"),
    button("distribute", "Distribute"),
  );
}

function Details({ webhook }) {
  return h(
    "div",
    { className: "fb-detail-grid" },
    h(
      "div",
      null,
      h("h3", null, webhook.halves.length ? "Webhooks of the pair" : "Webhook"),
      h("ul", null, halvesOf(webhook).map((half) => h(Half, { key: half.webhook_id ?? "", half }))),
      h("p", { className: "fb-muted fb-small" }, `Connection ${webhook.conn_id}`),
      webhook.dashboard_url?.startsWith("https://") &&
        h("p", null, h("a", { href: webhook.dashboard_url, rel: "noreferrer", target: "_blank" }, "Open in Featurebase")),
    ),
    h(
      "div",
      null,
      h("h3", null, "Stores"),
      h("ul", null, webhook.stores.map((store) => h(Store, { key: store.label, store }))),
    ),
    h(
      "div",
      null,
      h("h3", null, "Runs of the past year"),
      webhook.last_run && h("p", null, h("a", { href: runUrl(webhook.last_run.dag_id, webhook.last_run.run_id) }, "The last run in Airflow")),
      h("ul", null, [...webhook.runs].reverse().slice(0, 12).map((run, index) => h(PastRun, { key: index, run }))),
      !webhook.runs.length && h("p", { className: "fb-muted" }, "None recorded."),
    ),
  );
}

const halvesOf = (webhook) => (webhook.halves.length ? webhook.halves : [webhook]);

function Half({ half }) {
  return h(
    "li",
    null,
    h("code", null, half.webhook_id ?? "not found"),
    ` ${half.status ?? "not read"}`,
    h("br"),
    h("code", { className: "fb-muted" }, half.fingerprint ?? "secret not read"),
  );
}

function Store({ store }) {
  return h(
    "li",
    null,
    h(State, { tone: words.holdingTone(store.holding) }, `${store.label} ${words.holdingName(store.holding)}`),
    h("div", { className: "fb-small fb-muted" }, h("code", null, store.target)),
    store.fingerprint && h("div", { className: "fb-small" }, h("code", null, store.fingerprint)),
    store.problem && h("div", { className: "fb-small" }, store.problem),
  );
}

function PastRun({ run }) {
  const measured = run.receiver_exposure_ms ?? run.exposure_ms;
  const mode = run.mode && run.mode !== "rotate" ? ` (${words.plain(run.mode)})` : "";
  return h(
    "li",
    null,
    h(State, { tone: words.outcomeTone(run.outcome) }, words.outcomeName(run.outcome)),
    `${mode} ${words.moment(run.at)}`,
    measured !== undefined && measured !== null && h("span", { className: "fb-muted" }, `, exposure ${words.exposure(measured)}`),
  );
}
