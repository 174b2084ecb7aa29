/* Starts a run: shows what will happen, asks for what the Dag's params ask, and sends it after a second press. */

import { EMERGENCY_DAG, dagUrl, paramsOf, runUrl, signInUrl, trigger } from "./api.js";

const { createElement, useEffect, useRef, useState } = globalThis.React;
const h = createElement;

/* What each action is called, which mode it presets, and what it does, in a sentence each. */
const ACTIONS = {
  rotate: {
    title: "Rotate",
    mode: "rotate",
    does:
      "Featurebase replaces the signing secret, and every store gets the new one. The old secret can't be restored. " +
      "Before that, the run checks that each store can be written, and stops if one can't.",
    confirm: "Replace the secret now",
  },
  rehearse: {
    title: "Rehearse",
    mode: "dry_run",
    does: "The run makes all checks that come before a rotation, and a report. It changes nothing.",
    confirm: "Start the rehearsal",
  },
  distribute: {
    title: "Distribute",
    mode: "distribute",
    does: "The run brings every store to Featurebase's current secret. It does not replace the secret.",
    confirm: "Write the stores now",
  },
  audit: {
    title: "Audit all webhooks",
    does: "The run compares all webhooks and their stores with Featurebase. The audit itself changes nothing.",
    confirm: "Start the audit",
  },
  emergency: {
    title: "Emergency",
    danger: true,
    does:
      "For a leaked secret. The secrets of the chosen webhooks are replaced at once, without checks beforehand. " +
      "Receivers refuse deliveries until their store has the new secret.",
    confirm: "Replace these secrets at once",
  },
};

/* `request` is {action, dagId, name, paused}. */
export function RunDialog({ request, close, started }) {
  const action = ACTIONS[request.action];
  const box = useRef(null);
  const [params, setParams] = useState(null);
  const [conf, setConf] = useState({});
  const [step, setStep] = useState("form");
  const [problem, setProblem] = useState(null); // an ApiError
  const [attempt, setAttempt] = useState(1); // to load the form
  const [run, setRun] = useState(null);

  useEffect(() => box.current.showModal(), []);
  useEffect(() => {
    let open = true;
    paramsOf(request.dagId).then(
      (found) => {
        if (!open) return;
        setParams(found);
        setConf(presets(found, request, action));
      },
      (error) => open && setProblem(error),
    );
    return () => {
      open = false;
    };
  }, [attempt]);

  // The button that was pressed is gone: whoever reads with the keyboard goes on at what has changed.
  useEffect(() => void box.current.querySelector("[data-changed]")?.focus(), [step]);

  async function send() {
    setStep("sending");
    try {
      const made = await trigger(request.dagId, conf);
      setRun(made);
      setStep("sent");
      started();
    } catch (error) {
      setProblem(error);
      setStep("form");
    }
  }

  const missing = params ? missingOf(params, conf) : "";
  return h(
    "dialog",
    { ref: box, className: "fb-dialog", "aria-labelledby": "fb-dialog-title", onClose: close },
    h("h2", { id: "fb-dialog-title" }, request.name ? `${action.title} ${request.name}` : action.title),
    h("p", null, action.does),
    request.paused && step !== "sent" && h(Note, null, "This Dag is paused: the run waits until somebody unpauses the Dag."),
    step === "sent" && h(Sent, { run, dagId: request.dagId }),
    step === "form" && params && h(Form, { params, conf, change: setConf, action }),
    step === "form" && !params && !problem && h("p", { role: "status", className: "fb-muted" }, "Loading the form…"),
    (step === "confirm" || step === "sending") && h(Summary, { params, conf, action }),
    h("div", { role: "alert" }, problem && h(Problem, { problem, sent: Boolean(params), dagId: request.dagId })),
    h(Buttons, {
      step,
      action,
      missing,
      ready: Boolean(params),
      again: problem && !params && (() => {
        setProblem(null);
        setAttempt(attempt + 1);
      }),
      close: () => box.current.close(),
      back: () => setStep("form"),
      next: () => {
        setProblem(null);
        setStep("confirm");
      },
      send,
    }),
  );
}

function Note({ tone = "warn", changed = false, children }) {
  const focus = changed ? { tabIndex: -1, "data-changed": "" } : {};
  return h("p", { className: `fb-note fb-${tone}`, ...focus }, children);
}

/* What went wrong, and the way on. `sent` tells whether it was the run that was sent, or only the form that was asked for. */
function Problem({ problem, sent, dagId }) {
  if (problem.status === 401) return h(Note, { tone: "bad" }, problem.message, " ", h("a", { href: signInUrl() }, "Sign in"));
  if (!sent) return h(Note, { tone: "bad" }, problem.message);
  if (problem.status === 403) return h(Note, { tone: "bad" }, "You may not trigger this Dag. Ask somebody with the right to do so.");
  const unknown = problem.status === 0 || problem.status >= 500; // Airflow may have made the run all the same
  const look = ["It is not known whether the run was started. Look at ", h("a", { key: "dag", href: dagUrl(dagId) }, "the Dag's runs"), " before you send it again."];
  return h(Note, { tone: "bad" }, problem.message, " ", unknown && look);
}

function Sent({ run, dagId }) {
  return h(
    "div",
    { role: "status" },
    h(Note, { tone: "good", changed: true }, "The run was started. ", h("a", { href: runUrl(dagId, run.dag_run_id) }, "Watch it in Airflow")),
  );
}

/* The params' own defaults; the emergency begins with nothing chosen but the webhook that was asked for. */
function presets(params, request, action) {
  const conf = Object.fromEntries(Object.entries(params).map(([name, param]) => [name, param.value ?? null]));
  if (action.mode && "mode" in conf) conf.mode = action.mode;
  if (request.dagId === EMERGENCY_DAG) conf.webhooks = request.name ? [request.name] : [];
  return conf;
}

function missingOf(params, conf) {
  const short = Object.entries(params).find(
    ([name, param]) => Array.isArray(conf[name]) && conf[name].length < (param.schema?.minItems ?? 0),
  );
  return short ? `Choose ${titleOf(...short).toLowerCase()} first.` : "";
}

const titleOf = (name, param) => param.schema?.title ?? name;

function Form({ params, conf, change, action }) {
  return Object.entries(params).map(([name, param]) =>
    name === "mode" && action.mode
      ? null // the action is the mode
      : h(Field, { key: name, name, param, value: conf[name], set: (value) => change({ ...conf, [name]: value }) }),
  );
}

function Field({ name, param, value, set }) {
  const id = `fb-param-${name}`;
  const hint = param.description ?? param.schema?.description ?? param.schema?.description_md?.replaceAll("**", "");
  const described = hint ? `${id}-hint` : undefined;
  const text = hint && h("p", { id: described, className: "fb-small fb-muted" }, hint);
  const schema = param.schema ?? {};
  const title = titleOf(name, param);
  if (Array.isArray(value)) {
    return h(
      "fieldset",
      { className: "fb-field", "aria-describedby": described },
      h("legend", null, title),
      text,
      h(Choices, { options: schema.examples ?? schema.items?.enum ?? [], value, set }),
    );
  }
  if (typeof value === "boolean") {
    return h(
      "div",
      { className: "fb-field" },
      h(
        "label",
        { className: "fb-check" },
        h("input", { type: "checkbox", checked: value, onChange: (event) => set(event.target.checked), "aria-describedby": described }),
        title,
      ),
      text,
    );
  }
  const shared = { id, value: value ?? "", onChange: (event) => set(event.target.value), "aria-describedby": described };
  return h(
    "div",
    { className: "fb-field" },
    h("label", { htmlFor: id }, title),
    schema.enum
      ? h("select", shared, schema.enum.map((option) => h("option", { key: option, value: option }, option)))
      : h("textarea", { ...shared, rows: 2, maxLength: schema.maxLength }),
    text,
  );
}

function Choices({ options, value, set }) {
  const toggle = (option) => set(value.includes(option) ? value.filter((one) => one !== option) : [...value, option]);
  return h(
    "div",
    { className: "fb-choices", tabIndex: 0, role: "group", "aria-label": "Choices" },
    options.map((option) =>
      h(
        "label",
        { key: option, className: "fb-check" },
        h("input", { type: "checkbox", checked: value.includes(option), onChange: () => toggle(option) }),
        option,
      ),
    ),
  );
}

function Summary({ params, conf, action }) {
  const shown = Object.entries(conf).filter(([, value]) => value !== null && value !== "");
  return h(
    "div",
    null,
    h(Note, { tone: action.danger ? "bad" : "warn", changed: true }, "Nothing has been sent yet. Check this, then confirm."),
    h(
      "dl",
      { className: "fb-field" },
      shown.map(([name, value]) =>
        h(
          "div",
          { key: name },
          h("dt", { className: "fb-muted fb-small" }, titleOf(name, params[name] ?? {})),
          h("dd", null, Array.isArray(value) ? value.join(", ") : String(value)),
        ),
      ),
    ),
  );
}

function Buttons({ step, action, missing, ready, again, close, back, next, send }) {
  const style = `fb-button fb-main ${action.danger ? "fb-danger" : ""}`;
  const button = (label, onClick, className = "fb-button", rest = {}) =>
    h("button", { type: "button", className, onClick, ...rest }, label);
  if (step === "sent") return h("div", { className: "fb-buttons" }, button("Close", close));
  if (step === "form") {
    return h(
      "div",
      { className: "fb-buttons" },
      h("span", { className: "fb-muted fb-small", style: { marginInlineEnd: "auto", alignSelf: "center" } }, missing),
      button("Cancel", close),
      again ? button("Try again", again) : button("Continue", next, style, { disabled: !ready || Boolean(missing) }),
    );
  }
  const sending = step === "sending";
  return h(
    "div",
    { className: "fb-buttons" },
    button("Back", back, "fb-button", { disabled: sending }),
    button(sending ? "Sending…" : action.confirm, send, style, { disabled: sending }),
  );
}
