"""The fault matrix of a pair's run: which API call meets which fault, and how the Dag run may end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.faults.cases import BY_AIRFLOW, BY_HAND, DONE, NOT_STARTED, READ_FAULTS, WRITE_FAULTS, Fault

TAKEN_BACK = "taken back: nothing moved"

When = Literal["before", "refresh", "written", "held", "activate", "moved", "poll", "report"]
Half = Literal["live", "standby"]


@dataclass(frozen=True)
class PairCall:
    """One API call of a pair's run.

    :param key: names it in test ids.
    :param words: its heading in the table.
    :param when: which rule says how its faults end.
    :param half: whose webhook it is about; ``live`` is the one that delivers before the run.
    :param skip: which of that task's calls with this method and half it is, from 0.
    """

    key: str
    words: str
    task: str
    when: When
    half: Half
    skip: int = 0
    method: str = "GET"
    suffix: str = ""


def _reads(key: str, words: str, task: str, when: When, skips: tuple[int, int]) -> tuple[PairCall, PairCall]:
    """A task reads both halves, the live one first."""
    live, standby = skips
    return (
        PairCall(f"{key}_live", f"{words}: `GET` of the live webhook", task, when, "live", live),
        PairCall(f"{key}_standby", f"{words}: `GET` of the standby", task, when, "standby", standby),
    )


REFRESH = PairCall(
    "refresh",
    "rotate refreshes the standby: `POST /v2/webhooks/{standby}/secret`",
    "rotate",
    "refresh",
    "standby",
    method="POST",
    suffix="/secret",
)
ACTIVATE = PairCall(
    "activate",
    "activate sets the standby active: `PATCH /v2/webhooks/{standby}`",
    "activate",
    "activate",
    "standby",
    method="PATCH",
)
PAUSE = PairCall(
    "pause", "cut_over pauses the old webhook: `PATCH /v2/webhooks/{live}`", "cut_over", "moved", "live", method="PATCH"
)
CALLS = (
    *_reads("plan", "preflight reads the pair", "preflight", "before", (0, 0)),
    PairCall("compare", "rotate compares the standby with the plan: `GET` of the standby", "rotate", "before",
             "standby"),
    *_reads("look", "rotate looks last before the refresh", "rotate", "before", (0, 1)),
    REFRESH,
    *_reads("wanted", "rotate reads what the stores must hold", "rotate", "written", (1, 2)),
    *_reads("written", "rotate reads the pair after the writes", "rotate", "written", (2, 3)),
    *_reads("push", "push reads the pair before it looks at the store", "push.scripted", "held", (0, 0)),
    *_reads("agree", "push reads the pair after it looked at the store", "push.scripted", "held", (1, 1)),
    *_reads("probe", "probe reads the pair", "probe", "held", (0, 0)),
    *_reads("ready", "activate reads the pair before it sets the standby active", "activate", "held", (0, 0)),
    ACTIVATE,
    *_reads("active", "activate reads the pair after that", "activate", "moved", (1, 1)),
    *_reads("watch", "cut_over reads the pair", "cut_over", "moved", (0, 0)),
    *_reads("poll", "cut_over polls the pair on the triggerer", "cut_over", "poll", (0, 0)),
    *_reads("confirm", "cut_over reads the pair again before it pauses the old webhook", "cut_over", "moved", (1, 1)),
    PAUSE,
    *_reads("paused", "cut_over reads the pair after that", "cut_over", "moved", (2, 2)),
    *_reads("alone", "cut_over checks that the new webhook still delivers", "cut_over", "moved", (3, 3)),
    PairCall("verify", "verify_delivery reads the new webhook before it waits: `GET` of the standby",
             "verify_delivery", "moved", "standby"),
    PairCall("last", "verify_delivery compares the stores at the end: `GET` of the standby", "verify_delivery",
             "moved", "standby", 1),
    PairCall("facts", "report reads the new webhook: `GET` of the standby", "report", "report", "standby"),
    *_reads("report", "report reads the pair", "report", "report", (0, 1)),
)  # fmt: skip

FRESH = ("preflight", "rotate")
"""Tasks whose cases are played in a run of their own; the others follow each other on one run."""

_READS = ("404", "401", "503", "too_slow", "reset", "truncated", "stale")
"""One fault of each kind: what the client makes of an answer is the same for every read, and has a table of its own."""


def faults_of(call: PairCall) -> tuple[Fault, ...]:
    """The faults that this call can meet."""
    if call.method == "GET":
        return tuple(fault for fault in READ_FAULTS if fault.key in _READS)
    return tuple(fault for fault in WRITE_FAULTS if fault.key != "unknown")


ALLOWED: dict[When, dict[str, tuple[str, ...]]] = {
    "before": {"refused": (NOT_STARTED,), "passing": (NOT_STARTED,), "stale": (DONE,)},
    "refresh": {
        "refused": (NOT_STARTED,),
        "passing": (BY_AIRFLOW,),
        "lost": (DONE,),
        "late": (BY_AIRFLOW, DONE),
    },
    "written": {"refused": (DONE, TAKEN_BACK), "passing": (DONE, BY_AIRFLOW), "stale": (DONE,)},
    "held": {"refused": (TAKEN_BACK,), "passing": (BY_AIRFLOW,), "stale": (DONE,)},
    "activate": {"refused": (BY_HAND,), "passing": (BY_AIRFLOW,), "lost": (DONE,), "late": (BY_AIRFLOW,)},
    "moved": {
        "refused": (BY_HAND, DONE, BY_AIRFLOW),  # a webhook that one read doesn't find is looked for again
        "passing": (BY_AIRFLOW,),
        "stale": (DONE, BY_AIRFLOW),
        "lost": (DONE,),
        "late": (BY_AIRFLOW, DONE),
    },
    "poll": {"refused": (BY_AIRFLOW, DONE), "passing": (DONE,), "stale": (DONE,)},
    "report": {"refused": (DONE,), "passing": (DONE,), "stale": (DONE,)},
}


AFTER_THE_ANSWER = ("too_slow", "late", "late_hang")
"""Changes that take effect a moment after the client has given up: the read that follows need not show them yet."""


def allowed(call: PairCall, fault: Fault) -> tuple[str, ...]:
    """How the Dag run may end."""
    if call.method == "PATCH" and fault.key in AFTER_THE_ANSWER:
        return (BY_AIRFLOW, DONE)
    return (DONE,) if fault.effect == "harmless" else ALLOWED[call.when][fault.effect]
