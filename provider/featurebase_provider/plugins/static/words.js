/* Times, numbers and names as people read them. All times come as ISO 8601 texts. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const DONE = new Set(["rotated", "distributed"]);

const OUTCOMES = {
  rotated: "rotated",
  distributed: "distributed",
  incomplete: "incomplete",
  failed: "failed",
  unknown: "unknown",
  webhook_gone: "webhook gone",
  nothing_changed: "nothing changed",
  dry_run: "rehearsed",
  skipped: "skipped",
};

const KINDS = {
  connection_unusable: "The connection can't be used",
  key_refused: "Featurebase refuses the API key",
  featurebase_unreachable: "Featurebase can't be reached",
  webhook_missing: "The webhook does not exist",
  webhook_twice: "Two entries rotate one webhook",
  webhook_unconfigured: "A webhook is not rotated",
  webhook_inactive: "The webhook is not active",
  delivery_failing: "Deliveries fail",
  secret_missing: "Featurebase shows no secret",
  secret_overdue: "The secret is overdue",
  age_unknown: "The secret's age is unknown",
  rotated_elsewhere: "Somebody else refreshed the secret",
  leaked_secret_current: "A leaked secret is still in use",
  leaked_secret_held: "A store holds a leaked secret",
  store_differs: "A store holds another secret",
  store_absent: "A store holds no secret",
  store_missing: "A store's place does not exist",
  store_unfinished: "A store's last step is not done",
  store_foreign: "A store holds somebody else's value",
  store_unreachable: "A store can't be reached",
  previous_overdue: "An old secret is kept for too long",
  previous_age_unknown: "An old secret is kept since an unknown time",
  previous_left_behind: "An old secret was left behind",
  both_live: "Both webhooks of a pair deliver",
  none_live: "No webhook of a pair delivers",
  pair_differs: "The webhooks of a pair differ",
  drain_overdue: "A pair's old secret is kept for too long",
  history_unknown: "The records of earlier runs can't be read",
  not_audited: "The audit ran out of time",
};

const URGENT = new Set([
  "leaked_secret_current",
  "leaked_secret_held",
  "store_differs",
  "store_absent",
  "delivery_failing",
  "none_live",
  "key_refused",
  "webhook_missing",
]);

const HOLDINGS = {
  matches: "holds the current secret",
  unfinished: "holds it; its last step is not done",
  padded: "holds it with white space around",
  differs: "holds another secret",
  foreign: "holds somebody else's value",
  absent: "holds nothing",
  not_readable: "can't be read back",
  not_compared: "not compared",
  unknown: "could not be read",
};

/* The state of a thing: "good", "bad", "warn" or "none". It has a colour and, for those who see none, a word. */
const TONES = {
  matches: "good",
  unfinished: "warn",
  padded: "bad",
  differs: "bad",
  foreign: "bad",
  absent: "bad",
  unknown: "warn",
  active: "good",
  paused: "warn",
  suspended: "bad",
  rotated: "good",
  distributed: "good",
  dry_run: "none",
  skipped: "none",
  nothing_changed: "warn",
  success: "good",
  
};

export const isDone = (outcome) => DONE.has(outcome);
export const outcomeName = (outcome) => OUTCOMES[outcome] ?? plain(outcome);
export const kindName = (kind) => KINDS[kind] ?? plain(kind);
export const isUrgent = (kind) => URGENT.has(kind);
export const holdingName = (holding) => HOLDINGS[holding] ?? plain(holding);
export const holdingTone = (holding) => TONES[holding] ?? "none";
export const statusTone = (status) => TONES[status] ?? (status ? "bad" : "none");
export const outcomeTone = (outcome) => TONES[outcome] ?? "bad";

/* "store_differs" becomes "store differs". */
export function plain(text) {
  return String(text ?? "").replaceAll("_", " ");
}

export function plural(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/* A length of time in its largest unit: "4 min", "3 h", "12 d". */
export function span(milliseconds) {
  const length = Math.abs(milliseconds);
  if (length < MINUTE) return `${Math.round(length / SECOND)} s`;
  if (length < HOUR) return `${Math.round(length / MINUTE)} min`;
  if (length < 2 * DAY) return `${Math.round(length / HOUR)} h`;
  return `${Math.floor(length / DAY)} d`;
}

export function ago(iso, now = Date.now()) {
  if (!iso) return "never";
  const past = now - Date.parse(iso);
  return past >= 0 ? `${span(past)} ago` : `in ${span(past)}`;
}

/* An exposure: how long a store or a receiver did not know the new secret yet. */
export function exposure(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "not measured";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < MINUTE) return `${(milliseconds / SECOND).toFixed(1)} s`;
  return span(milliseconds);
}

/* A moment in the reader's time zone, for titles and reports. */
export function moment(iso) {
  if (!iso) return "";
  return new Date(iso).toLocaleString("en-GB", {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  });
}

/* "sha256:0123456789abcdef" is 23 characters; the first digits tell two of them apart. */
export function shortFingerprint(fingerprint) {
  return fingerprint ? fingerprint.slice(0, "sha256:".length + 8) : "not read";
}
