"""What a task leaves for the report, and what the report makes of it."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.operators.finding import KEY, LONGEST, finding_of, leaving_word, why_of
from featurebase_provider.operators.preflight import PreflightRotationOperator
from featurebase_provider.operators.report import RotationReportOperator
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.errors import StoreUnreachable
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import WEBHOOK_ID, MemoryStore, a_plan, fingerprint, secret
from tests.world.running_task import RunningTask

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase

AFTER = fingerprint("1")
WRITTEN = StoreOutcome("a", "memory://a", "written", AFTER)


def ending_with(error: Exception | None, found: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a task leaves that ends so."""
    left: dict[str, Any] = {}
    context: Any = {"ti": SimpleNamespace(xcom_push=lambda key, value: left.__setitem__(key, value))}
    expected = pytest.raises(type(error)) if error is not None else nullcontext()
    with expected, leaving_word(context, lambda: found):
        if error is not None:
            raise error
    return left


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (AirflowFailException("it is\ngone"), "it is gone"),
        (AirflowSkipException("Skipped: too late"), "Skipped: too late"),
        (StoreUnreachable("a", "no answer", "Wait"), "store a: no answer. Wait"),
        (AirflowFailException("x" * 9000), "x" * LONGEST),
    ],
)
def test_a_task_says_why_it_did_not_succeed(error: Exception, why: str) -> None:
    assert ending_with(error) == {"finding": {"why": why, "found": None}}


def test_an_error_of_somebody_elses_is_named_only() -> None:
    """Its words may quote what they should not."""
    (left,) = ending_with(ValueError("whsec_1")).values()
    assert left["why"].startswith("it ended with ValueError")
    assert "whsec" not in left["why"]


def test_a_task_that_succeeds_says_what_it_found_if_anything() -> None:
    assert ending_with(None) == {}
    assert ending_with(None, {"a": 1}) == {KEY: {"why": None, "found": {"a": 1}}}


@pytest.mark.parametrize(
    "outage",
    [
        AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR)),
        httpx.ConnectError("refused"),
        BrokenPipeError(),
    ],
    ids=lambda outage: type(outage).__name__,
)
def test_an_outage_does_not_change_how_a_task_ends(outage: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is said by a logger of this provider, for whom sets levels by its name."""

    def out(**_: Any) -> None:
        raise outage

    context: Any = {"ti": SimpleNamespace(xcom_push=out)}
    with pytest.raises(AirflowFailException, match="gone"), leaving_word(context):
        raise AirflowFailException("gone")
    (record,) = caplog.records
    assert "did not store this task's message for the report" in record.getMessage()
    assert record.name.startswith("featurebase_provider.")


def test_preflight_leaves_what_it_found_though_it_fails(featurebase: Featurebase, memory: WebhookMemory) -> None:
    operator = PreflightRotationOperator(
        task_id="preflight", webhook_id=WEBHOOK_ID, stores=[MemoryStore(value=secret("foreign"))]
    )
    task = RunningTask(operator)
    with pytest.raises(AirflowFailException, match="stores are not ready"):
        task.execute()
    left = task.pushed[KEY]
    assert "stores are not ready" in left["why"]
    assert (left["found"]["webhook_id"], left["found"]["current"]) == (WEBHOOK_ID, fingerprint("0"))
    assert [one["holding"] for one in left["found"]["stores"]] == ["foreign"]


def reporting(states: dict[str, str | None], **left: Any) -> dict[str, Any]:
    """A report of a run whose rotate wrote store a."""
    operator = RotationReportOperator(
        task_id="report",
        webhook="production",
        webhook_id=WEBHOOK_ID,
        preflight_task_id="preflight",
        rotate_task_id="rotate",
        push_task_ids={"a": "push.a"},
    )
    rotated = RotationOutcome(a_plan(), "answered", AFTER, stores={"a": WRITTEN}).as_json()
    results = {"preflight": a_plan().as_json(), "rotate": rotated, **left.pop("results", {})}
    states = {"preflight": "success", "rotate": "success", **states}
    operator.outlets = []
    task = RunningTask(operator, results=results, states=states, **left)
    return dict(task.execute())


PUSHED = {"push.a": {"label": "a", "target": "memory://a", "result": "unchanged", "fingerprint": AFTER}}


@pytest.mark.parametrize("state", ["failed", "skipped", "upstream_failed", "success", None])
def test_a_push_without_a_result_leaves_its_store_unknown(
    featurebase: Featurebase, memory: WebhookMemory, state: str | None
) -> None:
    """However it ended, by hand or not: what rotate saw is older."""
    featurebase.api.rotated()
    report = reporting({"push.a": state})
    (store,) = report["stores"]
    assert (report["outcome"], store["result"], store["fingerprint"]) == ("incomplete", "unknown", None)
    assert "before that: written" in store["problem"]


@pytest.mark.parametrize(
    ("state", "outcome"), [("success", "rotated"), ("upstream_failed", "incomplete"), ("skipped", "incomplete")]
)
def test_what_airflow_keeps_of_a_cleared_push_is_no_result(
    featurebase: Featurebase, memory: WebhookMemory, state: str, outcome: str
) -> None:
    featurebase.api.rotated()
    assert reporting({"push.a": state}, results=PUSHED)["outcome"] == outcome


def test_the_word_of_a_try_before_the_last_is_not_heard(featurebase: Featurebase, memory: WebhookMemory) -> None:
    word = {"push.a": {"why": "store a: read-only", "found": None}}
    featurebase.api.rotated()
    failed, again = (reporting({"push.a": state}, findings=word, results={}) for state in ("failed", "success"))
    assert (failed["cause"], again["cause"]) == ("push.a: store a: read-only", None)
    assert "read-only" in failed["stores"][0]["problem"]
    killed = reporting({"push.a": "failed"})
    assert killed["cause"].startswith("push.a: it left no message")


def test_a_task_that_looks_for_nothing_leaves_nothing_when_it_succeeds() -> None:
    with leaving_word({}):
        pass


def test_the_word_of_a_task_is_a_line_of_some_length() -> None:
    """Whoever wrote it: an XCom can be set by hand."""
    task = RunningTask(SimpleNamespace(task_id="report", outlets=[]))
    task.findings["plan"] = {"why": f"first\n{'x' * 9000}"}
    why = why_of(task.context, "plan")
    assert why == f"first {'x' * 9000}"[:LONGEST]


def test_in_a_mapped_group_each_branch_has_its_own_word() -> None:
    task = RunningTask(SimpleNamespace(task_id="report", outlets=[]), map_index=1)
    task.findings["plan"] = [{"why": "first"}, {"why": "second"}]
    assert (why_of(task.context, "plan"), finding_of(task.context, "rotate")) == ("second", {})
