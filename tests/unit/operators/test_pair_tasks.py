"""What the tasks of a pair go by, what they leave for the next ones, and what they say when they fail."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.operators.activate import ActivateStandbyOperator
from featurebase_provider.operators.cut_over import CutOverOperator
from featurebase_provider.operators.pair_preflight import PreflightPairOperator
from featurebase_provider.operators.pair_push import PushPairOperator
from featurebase_provider.operators.pair_report import PairReportOperator
from featurebase_provider.operators.pair_rotate import RotatePairOperator
from featurebase_provider.operators.push import PushWebhookSecretOperator
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator
from featurebase_provider.rotation.clock import Clock
from featurebase_provider.rotation.errors import HALF_DELETED, CutOverUnread
from featurebase_provider.rotation.memory import plan_key
from featurebase_provider.rotation.plan import RotationPlan
from tests.unit.operators.pair_world import PairBehindTheHook
from tests.world.fakes import FakeFeaturebase, SigningSecret
from tests.world.pair_states import A, B

if TYPE_CHECKING:
    from tests.world.running_task import RunningTask

DAY = 86_400.0
MOVES: dict[str, Any] = {"rotate_task_id": "rotate", "probe_task_id": "probe"}


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: None)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> PairBehindTheHook:
    """Half A delivers, and the store holds its secret alone."""
    pair = PairBehindTheHook(monkeypatch)
    pair.store.previous = None
    pair.clock.sleep(DAY)
    return pair


def refreshed(pair: PairBehindTheHook) -> RotationPlan:
    """The plan of a run that has refreshed half B, and written its secret beside that of half A."""
    plan = pair.kept_plan()
    pair.refresh_standby()
    return plan


def probed(pair: PairBehindTheHook, **fingerprints: str) -> dict[str, Any]:
    """The probe task's result."""
    shown = {name: half.current.fingerprint for name, half in pair.halves.items()}
    return {"probe": {"halves": {name: {"fingerprint": one} for name, one in {**shown, **fingerprints}.items()}}}


def preflight(pair: PairBehindTheHook, **arguments: Any) -> RunningTask:
    return pair.task(PreflightPairOperator, **{"stores": [pair.store], "rotate_task_id": "rotate", **arguments})


def test_preflight_plans_to_refresh_the_paused_half(pair: PairBehindTheHook) -> None:
    """And the plan lies under the pair's records, where every later task and run finds it."""
    result = preflight(pair, mode="rotate").execute()
    assert (result["webhook_id"], result["pair"]["was_live"], result["pair"]["refreshes"]) == (B, A, B)
    kept = pair.records().memory.plan(plan_key("a_dag", "PreflightPairOperator"))
    assert kept is not None
    assert kept.as_json() == result
    assert pair.held == (pair.secret(A), None)
    assert pair.patches == []


def test_preflight_keeps_no_plan_of_a_run_that_moves_nothing(pair: PairBehindTheHook) -> None:
    assert preflight(pair, mode="dry_run").execute()["pair"]["refreshes"] is None
    assert pair.kept.records == {}


def test_preflight_refuses_a_store_whose_first_secret_is_not_the_live_one(pair: PairBehindTheHook) -> None:
    pair.store.value = pair.halves[B].secret
    with pytest.raises(AirflowFailException, match=r"not the live webhook's secret.*Nothing was changed.*distribute"):
        preflight(pair).execute()
    assert pair.kept.records == {}


def test_preflight_says_how_to_go_on_without_a_half_that_is_gone(pair: PairBehindTheHook) -> None:
    pair.gone.add(B)
    with pytest.raises(AirflowFailException) as caught:
        preflight(pair).execute()
    assert HALF_DELETED in str(caught.value)
    assert "remove it from the rotation file" not in str(caught.value)


@pytest.mark.parametrize("run_type", ["scheduled", "manual"])
def test_preflight_waits_for_retries_of_the_half_that_was_paused_last(pair: PairBehindTheHook, run_type: str) -> None:
    """A scheduled run is skipped, a run by hand says until when."""
    pair.record("paused", pair.plan(), B)
    task = preflight(pair, late_start=None, min_age=None)
    task.context["dag_run"].run_type = run_type
    expected = AirflowSkipException if run_type == "scheduled" else AirflowFailException
    with pytest.raises(expected, match="may be retried until"):
        task.execute()


@pytest.mark.parametrize("differs", [True, False])
def test_preflight_says_if_the_way_back_changes_what_is_delivered(
    pair: PairBehindTheHook, capsys: pytest.CaptureFixture[str], differs: bool
) -> None:
    """It goes back all the same: its time is short, and it undoes what went wrong."""
    pair.record("paused", pair.plan(), B)
    pair.store.previous = pair.halves[B].secret
    if differs:
        pair.halves[B].change(topics=["comment.created"])
    result = preflight(pair, mode="revert").execute()
    assert (result["mode"], result["webhook_id"]) == ("revert", B)
    assert (
        "The webhooks differ in topics, so going back changes what is delivered" in capsys.readouterr().out
    ) is differs


def test_rotate_refreshes_the_paused_half_and_leaves_the_live_ones_secret_where_it_is(pair: PairBehindTheHook) -> None:
    plan = pair.kept_plan(stores=(pair.store.target,))
    task = pair.task(RotatePairOperator, plan, stores=[pair.store])
    del task.results["rotate"]
    result = task.execute()
    assert (result["how"], result["beside"]) == ("answered", pair.halves[A].current.fingerprint)
    assert result["after"] == pair.halves[B].current.fingerprint
    assert pair.held == (pair.secret(A), pair.secret(B))
    assert (pair.halves[A].posts, pair.halves[B].posts) == (0, 1)
    histories = {half: records.read("history") for half, records in pair.records().halves.items()}
    assert all(histories.values()), "a person may refresh either half later"


def test_rotate_refreshes_nothing_that_a_person_has_set_active(pair: PairBehindTheHook) -> None:
    plan = pair.kept_plan(stores=(pair.store.target,))
    pair.set(B, "active")
    task = pair.task(RotatePairOperator, plan, stores=[pair.store])
    del task.results["rotate"]
    with pytest.raises(AirflowFailException, match="refreshed"):
        task.execute()
    assert (pair.halves[B].posts, pair.store.writes) == (0, [])


@pytest.mark.parametrize("kind", [RotatePairOperator, PushPairOperator])
def test_a_run_changes_nothing_once_the_file_names_another_pair(pair: PairBehindTheHook, kind: Any) -> None:
    """Half B delivers, and the stores must not lose its secret because the file no longer names it."""
    plan, other = refreshed(pair), "c" * 24
    pair.halves[other] = FakeFeaturebase(pair.clock, name="c", id=other, status="paused")
    pair.set(B, "active")
    pair.set(A, "paused")
    held = pair.held
    own = {"stores": [pair.store]} if kind is RotatePairOperator else {"store": pair.store, "rotate_task_id": "rotate"}
    with pytest.raises(AirflowFailException, match=f"about the webhooks {A} and {B}, but .* names {A} and {other} now"):
        pair.task(kind, plan, webhook_ids=(A, other), **own).execute()
    assert pair.held == held
    assert [half.posts for half in pair.halves.values()] == [0, 0, 0]


@pytest.mark.parametrize("kind", [RotateWebhookSecretOperator, PushWebhookSecretOperator])
def test_a_run_changes_nothing_once_the_file_names_one_webhook(pair: PairBehindTheHook, kind: Any) -> None:
    """By its name: the plan's webhook is the paused half, and the stores must not lose the secret of the live one."""
    plan, held = refreshed(pair), pair.held
    own = {"store": pair.store, "rotate_task_id": "rotate"} if "Push" in kind.__name__ else {"stores": [pair.store]}
    task = pair.task(kind, plan, webhook_ids=None, **own)
    with pytest.raises(AirflowFailException, match="was made for a pair, before .* a single webhook"):
        task.execute()
    assert pair.held == held


def push(pair: PairBehindTheHook, plan: RotationPlan) -> RunningTask:
    return pair.task(PushPairOperator, plan, store=pair.store, rotate_task_id="rotate")


def test_push_writes_what_a_store_lacks_and_nothing_else(pair: PairBehindTheHook) -> None:
    plan = refreshed(pair)
    pair.store.previous = None
    assert push(pair, plan).execute()["result"] == "written"
    assert pair.held == (pair.secret(A), pair.secret(B))
    assert push(pair, plan).execute()["result"] == "unchanged"


def test_push_replaces_a_secret_of_the_live_half_that_only_the_plan_saw(pair: PairBehindTheHook) -> None:
    """A person refreshed it after preflight; no run had recorded it, and it is not a foreign value."""
    plan = refreshed(pair)
    pair.refresh(A)
    push(pair, plan).execute()
    assert set(pair.held) == {pair.secret(A), pair.secret(B)}


def test_push_leaves_a_foreign_value(pair: PairBehindTheHook) -> None:
    plan = refreshed(pair)
    pair.store.previous = SigningSecret("of somebody else")
    with pytest.raises(AirflowFailException, match=r"Deliveries go on with the live webhook's secret"):
        push(pair, plan).execute()
    assert pair.held == (pair.secret(A), "of somebody else")


def activate(pair: PairBehindTheHook, plan: RotationPlan, **fingerprints: str) -> RunningTask:
    arguments = {**MOVES, "stores": [pair.store], "probe_options": pair.probe_options}
    return pair.task(ActivateStandbyOperator, plan, probed(pair, **fingerprints), **arguments)


def test_activate_probes_once_more_and_tells_the_moment(pair: PairBehindTheHook) -> None:
    plan = refreshed(pair)
    result = activate(pair, plan).execute()
    assert (result["webhook_id"], result["moves"]) == (B, True)
    moved = pair.records().moves.activated
    assert moved is not None
    assert (moved.webhook_id, moved.at) == (B, result["at"])
    assert pair.patches == [(B, "active")]
    assert pair.probed == [A, B]


@pytest.mark.parametrize("mode", ["dry_run", "distribute"])
def test_activate_has_nothing_to_do_in_a_run_that_moves_nothing(pair: PairBehindTheHook, mode: Any) -> None:
    assert activate(pair, pair.plan(mode=mode)).execute()["moves"] is False
    assert (pair.patches, pair.probed) == ([], [])


def test_activate_moves_nothing_to_a_secret_that_was_not_proven(pair: PairBehindTheHook) -> None:
    with pytest.raises(AirflowFailException, match="the receiver was probed with sha256:other"):
        activate(pair, refreshed(pair), **{B: "sha256:other"}).execute()
    assert pair.patches == []


@pytest.mark.parametrize("refused", [A, B])
def test_activate_moves_nothing_that_the_receiver_refuses_now(pair: PairBehindTheHook, refused: str) -> None:
    plan = refreshed(pair)
    pair.accepts.discard(refused)
    with pytest.raises(AirflowFailException, match="accepted in the probe task before. The webhook was not set active"):
        activate(pair, plan).execute()
    assert pair.patches == []
    assert pair.records().moves.activated is None


def cut_over(pair: PairBehindTheHook, plan: RotationPlan, results: Any = None) -> RunningTask:
    return pair.task(CutOverOperator, plan, results, stores=[pair.store], **MOVES)


def test_cut_over_pauses_the_old_half_once_the_new_one_has_delivered(pair: PairBehindTheHook) -> None:
    plan = refreshed(pair)
    pair.set(B, "active")
    pair.record("activated", plan, B)
    pair.delivered(B)
    result = cut_over(pair, plan, probed(pair)).execute()
    assert (result["moved"], result["old"], result["new"]) == (True, A, B)
    assert pair.statuses == ("paused", "active")
    paused = pair.records().moves.paused
    assert paused is not None
    assert (paused.webhook_id, paused.at) == (A, result["paused_at"])


def test_cut_over_pauses_nothing_by_a_probe_that_nobody_made(pair: PairBehindTheHook) -> None:
    """Somebody marked the probe task success by hand."""
    with pytest.raises(CutOverUnread, match="left no result for both webhooks"):
        cut_over(pair, refreshed(pair)).execute()
    assert pair.patches == []


@pytest.mark.parametrize("event", [None, {}, {"kind": "pause_old"}, {"kind": "unreadable", "watched": {}}])
def test_an_event_that_says_nothing_pauses_nothing(pair: PairBehindTheHook, event: Any) -> None:
    with pytest.raises(CutOverUnread, match="retry"):
        cut_over(pair, refreshed(pair), probed(pair)).resume(event)
    assert pair.patches == []


def report(pair: PairBehindTheHook, plan: RotationPlan, **states: str) -> dict[str, Any]:
    task = pair.task(
        PairReportOperator,
        plan,
        {"cut_over": {"polls": 3, "refused": 0}},
        stores=[pair.store],
        cut_over_task_id="cut_over",
        preflight_task_id="preflight",
        rotate_task_id="rotate",
        push_task_ids={},
        probe_task_id=None,
        verify_task_id=None,
        task_ids=list(states),
    )
    task.states.update(states)
    found: dict[str, Any] = task.execute()
    return found


def test_report_takes_back_what_a_failed_run_has_written(pair: PairBehindTheHook) -> None:
    plan = refreshed(pair)
    found = report(pair, plan, rotate="success", probe="failed")
    assert pair.held == (pair.secret(A), None)
    assert "alone again" in found["pair"]["taken_back"]
    assert f"webhook {A} delivers as before" in found["advice"]


def test_report_does_not_say_that_a_half_became_active_that_never_did(pair: PairBehindTheHook) -> None:
    """Its change may take effect late, so the stores keep its secret."""
    plan = refreshed(pair)
    pair.record("activated", plan, B, done=False)
    found = report(pair, plan, rotate="success", activate="failed")
    assert pair.held == (pair.secret(A), pair.secret(B))
    assert (found["pair"]["activated_at"], found["pair"]["paused_at"]) == (None, None)
    assert f"webhook {A} delivers as before. The stores keep both secrets" in found["advice"]


def test_report_of_a_run_that_moved_the_deliveries_says_how_long_there_is_a_way_back(pair: PairBehindTheHook) -> None:
    plan = refreshed(pair)
    pair.set(B, "active")
    pair.record("activated", plan, B)
    pair.set(A, "paused")
    pair.record("paused", plan, A)
    found = report(pair, plan, rotate="success", verify="failed")
    assert pair.held == (pair.secret(A), pair.secret(B)), "receivers may still need either"
    paused = pair.records().moves.paused
    assert paused is not None
    assert found["pair"]["keeps_until"] == (paused.moment + timedelta(hours=8)).isoformat()
    assert (found["pair"]["polls"], found["pair"]["refused"], found["pair"]["taken_back"]) == (3, 0, None)


@pytest.mark.parametrize("gone", [A, B])
def test_report_names_the_half_that_is_gone(pair: PairBehindTheHook, gone: str) -> None:
    plan = refreshed(pair)
    pair.gone.add(gone)
    found = report(pair, plan, rotate="success", push="failed")
    assert (found["outcome"], found["pair"]["gone"]) == ("webhook_gone", [gone])
    assert HALF_DELETED in found["advice"]
    assert pair.held == (pair.secret(A), pair.halves[B].secret.reveal())
