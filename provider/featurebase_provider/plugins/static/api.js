/* Airflow's REST API, with the reader's own session. Nothing else is asked, and no address of another host. */

/* Airflow's own address: this file is served from <Airflow>/featurebase/. */
export const ROOT = new URL("../", import.meta.url);
const TAG = "featurebase";
const AUDIT_DAG = "featurebase_audit";
export const EMERGENCY_DAG = "featurebase_emergency_rotation";
export const REPORT_VERSION = 2;
const PAGE = 100; // the most that Airflow gives at once
const MOST_PAGES = 6; // of Dags: with the other calls, twelve requests at most

/* An answer that is not a success. `status` is 0 where no answer came, and 401 where the session has ended. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const encode = encodeURIComponent;

export const airflowUrl = (path) => new URL(path, ROOT).href;
/* Where the reader signs in, and comes back to the address at which they are now; the UI itself does the same. */
export const signInUrl = () => airflowUrl(`api/v2/auth/login?${new URLSearchParams({ next: location.href })}`);
export const dagUrl = (dagId) => airflowUrl(`dags/${encode(dagId)}`);
export const runUrl = (dagId, runId) => airflowUrl(`dags/${encode(dagId)}/runs/${encode(runId)}`);

export function reportUrl({ dag_id, run_id, task_id, map_index }) {
  const query = new URLSearchParams({ dag_id, run_id, task_id: task_id || "report", map_index: map_index ?? -1 });
  return new URL(`report.html?${query}`, import.meta.url).href;
}

async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(new URL(`api/v2/${path}`, ROOT), { credentials: "same-origin", ...options });
  } catch {
    throw new ApiError(0, "Airflow did not answer. Check your connection, then try again.");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

async function refusal(answer) {
  const body = await answer.json().catch(() => ({}));
  const detail = typeof body.detail === "string" ? body.detail : JSON.stringify(body.detail ?? "");
  // Airflow answers 403 with this text to a session that is too old.
  const ended = answer.status === 401 || (answer.status === 403 && detail === "Invalid JWT token");
  if (ended) return new ApiError(401, "Your session has ended. Sign in to Airflow again.");
  if (answer.status === 403) return new ApiError(403, "You may not see or do this in Airflow.");
  const said = `Airflow answered ${answer.status}${detail ? `: ${detail.slice(0, 300)}` : ""}`;
  return new ApiError(answer.status, said.replace(/\.?$/, ".")); // a sentence may follow
}

const query = (entries) => new URLSearchParams(entries).toString();

/* All Dags of this provider. */
async function listDags() {
  const first = await dagsFrom(0);
  const pages = Math.min(Math.ceil(first.total_entries / PAGE), MOST_PAGES);
  const more = Array.from({ length: Math.max(pages - 1, 0) }, (_, index) => dagsFrom((index + 1) * PAGE));
  const rest = await Promise.all(more);
  return [first, ...rest].flatMap((page) => page.dags);
}

const dagsFrom = (offset) => call(`dags?${query({ tags: TAG, limit: PAGE, offset, order_by: "dag_id" })}`);

/* The newest audit that has a result: its run, and the report. Null before the first one. */
async function newestAudit() {
  const wanted = { task_id: "audit", state: "success", order_by: "-end_date", limit: 1 };
  const found = await orIfMissing(call(`dags/${AUDIT_DAG}/dagRuns/~/taskInstances?${query(wanted)}`), null);
  const task = found?.task_instances[0];
  if (!task) return null;
  const report = await result(task.dag_id, task.dag_run_id, task.task_id, -1);
  return report ? { runId: task.dag_run_id, report } : null;
}

async function orIfMissing(answer, otherwise) {
  try {
    return await answer;
  } catch (error) {
    if (error.status === 404) return otherwise;
    throw error;
  }
}

/* A task's result; null where there is none. */
export async function result(dagId, runId, taskId, mapIndex) {
  const path = `dags/${encode(dagId)}/dagRuns/${encode(runId)}/taskInstances/${encode(taskId)}/xcomEntries/return_value`;
  const entry = await orIfMissing(call(`${path}?${query({ map_index: mapIndex })}`), null);
  if (entry === null) return null;
  return typeof entry.value === "string" ? JSON.parse(entry.value) : entry.value;
}

/* The tasks of a run, with their times. */
export async function tasksOf(dagId, runId) {
  const path = `dags/${encode(dagId)}/dagRuns/${encode(runId)}/taskInstances`;
  return (await call(`${path}?${query({ limit: PAGE, order_by: "start_date" })}`)).task_instances;
}

/* Runs that are queued or running now, of any Dag that the reader may see. */
async function liveRuns() {
  const states = [["state", "queued"], ["state", "running"]];
  return (await call(`dags/~/dagRuns?${query([...states, ["limit", PAGE], ["order_by", "-run_after"]])}`)).dag_runs;
}

/* Runs that began after the audit, so that what the audit saw may be out of date. */
async function runsSince(iso) {
  return (await call(`dags/~/dagRuns?${query({ start_date_gte: iso, limit: PAGE, order_by: "-start_date" })}`)).dag_runs;
}

/* What the first view needs. */
export async function overview() {
  const [dags, audit, live] = await Promise.all([listDags(), newestAudit(), liveRuns()]);
  const since = audit ? await runsSince(audit.report.at) : [];
  const own = new Set(dags.map((dag) => dag.dag_id));
  return { dags, audit, live: live.filter((run) => own.has(run.dag_id)), since: since.filter((run) => own.has(run.dag_id)) };
}

/* A Dag's params, as its trigger form has them. */
export async function paramsOf(dagId) {
  return (await call(`dags/${encode(dagId)}/details`)).params ?? {};
}

/* Starts a run. The only call of this page that changes anything. */
export function trigger(dagId, conf) {
  return call(`dags/${encode(dagId)}/dagRuns`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ logical_date: null, conf }),
  });
}
