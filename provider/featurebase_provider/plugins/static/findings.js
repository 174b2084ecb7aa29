/* What is wrong, what to do about it, and the button that does it. */

import { isUrgent, kindName, plural } from "./words.js";

const h = (...args) => globalThis.React.createElement(...args);

const BUTTONS = {
  distribute: "Distribute",
  rotate: "Rotate",
  emergency: "Emergency…",
  audit: "Audit again",
};

/* `can` tells whether there is a Dag for an action. */
export function Findings({ findings, advice, act, can }) {
  const open = findings.filter((finding) => !finding.ignored);
  const ignored = findings.filter((finding) => finding.ignored);
  if (!findings.length) return null;
  return h(
    "section",
    { "aria-labelledby": "fb-findings" },
    h(
      "div",
      { className: "fb-section-head" },
      h("h2", { id: "fb-findings" }, open.length ? "What needs attention" : "Findings"),
    ),
    h("ul", { className: "fb-findings" }, sorted(open).map((finding, index) => h(Item, { key: index, finding, advice, act, can }))),
    ignored.length > 0 &&
      h(
        "details",
        null,
        h("summary", null, `${plural(ignored.length, "finding")} not counted: the rotation file says to ignore ${ignored.length === 1 ? "it" : "them"}`),
        h("ul", { className: "fb-findings" }, ignored.map((finding, index) => h(Item, { key: index, finding, advice, act, can }))),
      ),
  );
}

/* Urgent ones first; else as the audit lists them. */
function sorted(findings) {
  return [...findings].sort((one, other) => isUrgent(other.kind) - isUrgent(one.kind));
}

function Item({ finding, advice, act, can }) {
  const urgent = isUrgent(finding.kind) && !finding.ignored;
  const tone = finding.ignored ? "fb-none" : urgent ? "fb-bad" : "fb-warn";
  const label = can(finding.fix, finding.webhook) ? BUTTONS[finding.fix] : null;
  const where = whereOf(finding);
  return h(
    "li",
    { className: `fb-panel ${tone}` },
    h(
      "div",
      null,
      h("h3", null, `${where}: ${kindName(finding.kind)}`),
      h("p", { className: "fb-muted" }, sentence(finding.detail)),
      h("p", { className: "fb-do" }, advice.get(finding.kind) ?? ""),
    ),
    label &&
      h(
        "button",
        {
          type: "button",
          className: `fb-button ${finding.fix === "emergency" ? "fb-danger" : urgent ? "fb-main" : ""}`,
          "aria-label": `${label.replace("…", "")} ${finding.webhook ?? ""}`.trim(),
          onClick: () => act(finding.fix, finding.webhook),
        },
        label,
      ),
  );
}

function whereOf(finding) {
  const own = finding.webhook ?? (finding.webhook_id ? `webhook ${finding.webhook_id}` : `connection ${finding.conn_id}`);
  return finding.store ? `${own}, store ${finding.store}` : own;
}

/* The audit's details begin in lower case, for its log. */
function sentence(text) {
  const trimmed = text.trim();
  const ended = /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return /^[a-z]+:\/\//.test(ended) || /^[a-z]+-[a-z]+:/.test(ended) ? ended : ended.charAt(0).toUpperCase() + ended.slice(1);
}
