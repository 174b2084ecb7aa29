"""The fault matrix of the API: which call of a rotation meets which fault, and how the Dag run is to end."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

PACE = float(os.environ.get("FEATUREBASE_FAULT_PACE", "1"))
"""How many times slower everything is, for a machine on which a call can take longer than a second."""
TIMEOUT_SECONDS = 1.0 * PACE
GRACE_SECONDS = 1.2 * PACE

DONE = "done"
NOT_STARTED = "safely not started"
BY_AIRFLOW = "converges on Airflow's retry"
BY_HAND = "converges when the task is cleared"

When = Literal["before", "refresh", "search", "confirm", "after", "paused", "patch", "poll", "last", "report"]
Effect = Literal["harmless", "refused", "passing", "lost", "late", "stale"]


@dataclass(frozen=True)
class Call:
    """One API call of a rotation.

    :param key: names it in test ids.
    :param words: its heading in the table.
    :param task: the task that sends it.
    :param when: which rule says how its faults end.
    :param pause_after: the task after which the fault is put up. None: before the run; for a call after the
        refresh, before its task alone is cleared in a run that has ended.
    :param skip: which of that task's matching calls it is, from 0.
    :param first: a fault that comes before it.
    """

    key: str
    words: str
    task: str
    when: When
    pause_after: str | None
    method: str = "GET"
    path: str = "/v2/webhooks/{id}"
    skip: int = 0
    first: dict[str, Any] | None = None
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with a call.

    :param effect: ``harmless``; ``refused`` (an answer that no retry changes); ``passing`` (no usable answer, the
        call took no effect); ``lost`` (no usable answer, the call took effect); ``late`` (no usable answer, it
        takes effect after the retry has begun); ``stale`` (the answer is of before the last change).
    :param how: what the sandbox is told; empty where ``extra`` says it.
    """

    key: str
    words: str
    effect: Effect
    how: dict[str, Any]


PATH = "/v2/webhooks/{id}"
PROBED = {"probe": {"timeout": "PT5S", "interval": "PT0.1S", "steady": "PT0S", "successes": 1}}
CALLS = (
    Call("find", "preflight looks the webhook up by name: `GET /v2/webhooks`", "preflight", "before", None,
         path="/v2/webhooks", changes={"webhook_id": None, "webhook_name": "Production"}),
    Call("plan", f"preflight reads the webhook: `GET {PATH}`", "preflight", "before", None),
    Call("compare", f"rotate reads the webhook before the refresh: `GET {PATH}`", "rotate", "before", "preflight"),
    Call("refresh", f"rotate refreshes the secret: `POST {PATH}/secret`", "rotate", "refresh", "preflight",
         method="POST", path=f"{PATH}/secret"),
    Call("search", f"rotate looks what became of a refresh without an answer: `GET {PATH}`", "rotate", "search",
         "preflight", skip=1, first={"method": "POST", "path": f"{PATH}/secret", "kind": "drop_response"}),
    Call("confirm", f"rotate reads the webhook after the stores were written: `GET {PATH}`", "rotate", "confirm",
         "preflight", skip=1),
    Call("push", f"push reads the webhook before it looks at the store: `GET {PATH}`", "push.scripted", "after",
         None),
    Call("agree", f"push reads the webhook after it looked at the store: `GET {PATH}`", "push.scripted", "after",
         None, skip=1),
    Call("probe", f"probe reads the webhook: `GET {PATH}`", "probe", "after", None, changes=PROBED),
    Call("paused", f"settle reads the webhook: `GET {PATH}`", "settle", "paused", None,
         changes={**PROBED, "reactivate": True}),
    Call("settle", f"settle sets the webhook active: `PATCH {PATH}`", "settle", "patch", None, method="PATCH",
         changes={**PROBED, "reactivate": True}),
    Call("verify", f"verify_delivery reads the webhook before it waits: `GET {PATH}`", "verify_delivery", "after",
         None),
    Call("poll", f"verify_delivery polls on the triggerer: `GET {PATH}`", "verify_delivery", "poll", None,
         first={"method": "GET", "path": PATH, "kind": "stale_read"},
         changes={"verify": {"timeout": "PT20S", "poll_interval": "PT0.1S"}}),
    Call("last", f"verify_delivery compares the stores at the end: `GET {PATH}`", "verify_delivery", "last",
         None, skip=1),
    Call("report", f"report reads the webhook: `GET {PATH}`", "report", "report", None),
)  # fmt: skip


def status(code: int, effect: Effect, **how: Any) -> Fault:
    """An error answer."""
    commit = how.get("commit")
    key = f"{code}{'_committed' if commit else ''}{'_headers' if how.get('headers') else ''}"
    words = f"{code}{' with Retry-After' if how.get('headers') else ''}{', carried out all the same' if commit else ''}"
    return Fault(key, words, effect, {"kind": "status", "status": code, **how})


STATUSES = (
    *(status(code, "refused") for code in (400, 401, 403, 404, 410)),
    *(status(code, "passing") for code in (408, 429, 500, 502, 503)),
    status(429, "passing", headers={"Retry-After": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
)
BODIES = {
    "truncated": "body cut short",
    "not_json": "body that is no JSON",
    "wrong_type": "body of another type",
    "html": "page of HTML",
}
SOME_TIME, TOO_LONG = 0.2 * PACE, TIMEOUT_SECONDS + 0.4 * PACE
READ_FAULTS = (
    *STATUSES,
    Fault("slow", "slow answer", "harmless", {"kind": "latency", "seconds": SOME_TIME}),
    Fault("too_slow", "answer after the timeout", "passing", {"kind": "latency", "seconds": TOO_LONG}),
    Fault("hang", "no answer", "passing", {"kind": "hang"}),
    Fault("reset", "connection reset", "passing", {"kind": "reset"}),
    Fault("drop", "connection closed without an answer", "passing", {"kind": "drop_response"}),
    *(Fault(key, words, "passing", {"kind": "malformed", "body": key}) for key, words in BODIES.items()),
    Fault("stale", "stale read", "stale", {"kind": "stale_read"}),
    Fault("unknown", "unknown fields, topics", "harmless", {}),
)
WRITE_FAULTS = (
    *STATUSES,
    *(status(code, "lost", commit=True) for code in (408, 500, 502, 503)),
    Fault("slow", "slow, then the effect", "harmless", {"kind": "latency", "seconds": SOME_TIME}),
    Fault("slow_answer", "the effect, then a slow answer", "harmless",
          {"kind": "latency", "seconds": SOME_TIME, "commit": True}),
    Fault("too_slow", "the effect after the timeout", "lost", {"kind": "latency", "seconds": TOO_LONG}),
    Fault("too_slow_answer", "the effect, then an answer after the timeout", "lost",
          {"kind": "latency", "seconds": TOO_LONG, "commit": True}),
    Fault("hang", "no answer, no effect", "passing", {"kind": "hang"}),
    Fault("hang_committed", "the effect, then no answer", "lost", {"kind": "hang", "commit": True}),
    Fault("reset", "connection reset, no effect", "passing", {"kind": "reset"}),
    Fault("reset_committed", "the effect, then a connection reset", "lost", {"kind": "reset", "commit": True}),
    Fault("drop", "the effect, then the connection closed", "lost", {"kind": "drop_response"}),
    Fault("late", "504, the effect within the grace", "lost",
          {"kind": "late_commit", "status": 504, "seconds": 0.4 * PACE}),
    Fault("late_hang", "no answer, the effect within the grace", "lost",
          {"kind": "late_commit", "seconds": 1.5 * PACE}),
    Fault("later", "504, the effect after the grace", "late",
          {"kind": "late_commit", "status": 504, "seconds": GRACE_SECONDS + 0.9 * PACE}),
    *(Fault(key, f"the effect, then a {words}", "lost", {"kind": "malformed", "body": key})
      for key, words in BODIES.items()),
    Fault("truncated_uncommitted", "body cut short, no effect", "passing",
          {"kind": "malformed", "body": "truncated", "commit": False}),
    Fault("unknown", "unknown fields, topics", "harmless", {}),
)  # fmt: skip

AFTER_THE_REFRESH = ("after", "paused", "patch", "poll", "last", "report")


def faults_of(call: Call) -> tuple[Fault, ...]:
    """The faults that this call can meet."""
    return READ_FAULTS if call.method == "GET" else WRITE_FAULTS


def shared_run_of(test_id: str) -> str | None:
    """The call on whose run this test goes on, where there is one: cases after the refresh follow each other on it."""
    call, dash, _ = test_id.partition("test_api_fault[")[2].partition("-")
    return call if dash and call in {call.key for call in CALLS if call.when in AFTER_THE_REFRESH} else None


def expected(call: Call, fault: Fault) -> str:
    """How the Dag run is to end."""
    if fault.effect == "harmless":
        return DONE
    return _EXPECTED[call.when].get(fault.effect, DONE)


_EXPECTED: dict[str, dict[str, str]] = {
    "before": {"refused": NOT_STARTED, "passing": NOT_STARTED},
    "refresh": {"refused": NOT_STARTED, "passing": BY_AIRFLOW, "late": BY_AIRFLOW},
    "search": {"refused": BY_AIRFLOW},
    "confirm": {},
    "after": {"refused": BY_HAND, "passing": BY_AIRFLOW},
    # A stale read shows an active webhook, as if there were nothing to settle: verify_delivery finds it paused.
    "paused": {"refused": BY_HAND, "passing": BY_AIRFLOW, "stale": BY_HAND},
    "patch": {"refused": BY_HAND, "passing": BY_AIRFLOW, "lost": BY_AIRFLOW, "late": BY_AIRFLOW},
    "poll": {"refused": BY_AIRFLOW},
    "last": {"refused": BY_HAND, "passing": BY_AIRFLOW},
    "report": {},
}
