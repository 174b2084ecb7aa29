"""Airflow's Variables, in which runs are remembered, can't be read or written: when, and how the Dag run is to end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.faults.cases import BY_AIRFLOW, DONE, NOT_STARTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.runs import FaultyWorld

BEFORE, AFTER = SECTIONS = (
    "The rotation's memory in Airflow's Variables, before the refresh",
    "The rotation's memory in Airflow's Variables, after the refresh",
)


@dataclass(frozen=True)
class MemoryFault:
    """Airflow's API server answers no question about a record while one task runs.

    :param task: while which task. None: from the refresh on, to the end of the run.
    :param verb: what fails. None: both.
    :param record: how the record's name goes on after the webhook's part of it; empty for all.
    :param pause_after: the task after which it begins; None for before the run.
    :param times: how many calls fail; None for all.
    :param is_lost: whether the refresh's answer is lost, too.
    """

    key: str
    section: str
    words: str
    expected: str
    task: str | None
    verb: Literal["read", "write"] | None = None
    record: str = ""
    pause_after: str | None = "preflight"
    times: int | None = None
    is_lost: bool = False

    def meets(self, message: Any, world: FaultyWorld) -> bool:
        """Whether this call of a task to Airflow goes wrong."""
        verb = {"GetVariable": "read", "PutVariable": "write"}.get(type(message).__name__)
        if verb is None or self.verb not in (None, verb) or (self.task is None and not world.new_refreshes()):
            return False
        return str(message.key).startswith("featurebase_rotation__") and f"__{self.record}" in message.key[20:]


@contextmanager
def outage(fault: MemoryFault, world: FaultyWorld) -> Iterator[list[str]]:
    """Have Airflow answer 503; gives the names of the records that were asked for."""
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    asked: list[str] = []
    send = InProcessSupervisorComms.send

    def answer(comms: Any, msg: Any) -> Any:
        if fault.meets(msg, world) and (fault.times is None or len(asked) < fault.times):
            asked.append(msg.key)
            return ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 503})
        return send(comms, msg)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InProcessSupervisorComms, "send", answer)
        yield asked


FAULTS = (
    MemoryFault("unread", BEFORE, "preflight can't read what earlier runs left", NOT_STARTED, "preflight", "read",
                "history", None),
    MemoryFault("unread_once", BEFORE, "preflight can't read what earlier runs left, once", BY_AIRFLOW, "preflight",
                "read", "history", None, times=1),
    MemoryFault("leaked_unread", BEFORE, "preflight can't read what has leaked", NOT_STARTED, "preflight", "read",
                "leaked", None),
    MemoryFault("plan_unread", BEFORE, "preflight can't read whether the run has a plan", NOT_STARTED, "preflight",
                "read", "plan_", None),
    MemoryFault("plan_unwritten", BEFORE, "preflight can't write the plan", NOT_STARTED, "preflight", "write", "plan_",
                None),
    MemoryFault("history_at_rotate", BEFORE, "rotate can't read what earlier runs left", DONE, "rotate", "read",
                "history"),
    MemoryFault("leaked_at_rotate", BEFORE, "rotate can't read what has leaked", NOT_STARTED, "rotate", "read",
                "leaked"),
    MemoryFault("plan_at_rotate", BEFORE, "rotate can't read the plan directly before the refresh", NOT_STARTED,
                "rotate", "read", "plan_"),
    MemoryFault("all_at_rotate", BEFORE, "rotate can't read anything, once", BY_AIRFLOW, "rotate", "read", times=4),
    MemoryFault("unwritten", AFTER, "rotate can't write what it did", DONE, "rotate", "write", "history"),
    MemoryFault("at_push", AFTER, "push can't read what other runs left", DONE, "push.scripted", "read", "",
                "rotate"),
    MemoryFault("at_report", AFTER, "report can't read what earlier runs left", DONE, "report", "read", "",
                "verify_delivery"),
    MemoryFault("report_unwritten", AFTER, "report can't write what the run did", DONE, "report", "write", "",
                "verify_delivery"),
    MemoryFault("from_refresh", AFTER, "nothing can be read or written from the refresh on", DONE, None),
    MemoryFault("lost", AFTER, "the refresh's answer is lost, and nothing can be read or written from then on", DONE,
                None, is_lost=True),
)  # fmt: skip


def ordered_faults() -> list[tuple[str, str]]:
    """Section and fault of each row of the table, in its order."""
    return [(fault.section, fault.words) for fault in FAULTS]
