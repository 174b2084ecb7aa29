from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from featurebase_provider.rotation.age import SecretAge, rounded
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.errors import MemorySpoilt, MemoryUnknown
from featurebase_provider.rotation.history import MOST_PLACES, MOST_RUNS, MOST_SECRETS, History, order_of
from featurebase_provider.rotation.memory import LARGEST_RECORD, history_of_events, plan_key, recall
from featurebase_provider.rotation.plan import ThisRun
from featurebase_provider.rotation.report import make_report
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.run_facts import RunFacts
from tests.world.fakes import START, THIS_RUN, WEBHOOK_ID, DictMemory, a_memory, a_plan, a_webhook, fingerprint

CREATED = START - timedelta(days=400)
FINGERPRINT, OTHER = "sha256:0000000000000001", "sha256:0000000000000002"


def a_report(days_ago: float, after: str | None = FINGERPRINT, *, refreshed: bool = False) -> dict[str, Any]:
    at = (START - timedelta(days=days_ago)).isoformat()
    return {"webhook_id": WEBHOOK_ID, "at": at, "after": after, "refreshed_at": at if refreshed else None}


def age_of(*reports: dict[str, Any], created_at: datetime | None = CREATED) -> SecretAge:
    return history_of_events(WEBHOOK_ID, reports).age(FINGERPRINT, created_at=created_at, now=START)


def days(at_least: float, at_most: float) -> SecretAge:
    return SecretAge(timedelta(days=at_least), timedelta(days=at_most))


@pytest.mark.parametrize(
    ("reports", "age"),
    [
        ([], days(0, 400)),
        ([a_report(12, refreshed=True)], days(12, 12)),
        ([a_report(12, refreshed=True), a_report(3)], days(12, 12)),
        ([a_report(12)], days(12, 400)),
        ([a_report(20, OTHER), a_report(12), a_report(3)], days(12, 20)),
        ([a_report(20, OTHER)], days(0, 20)),
        ([a_report(20, OTHER), a_report(12), a_report(5, OTHER), a_report(3)], days(12, 20)),
        ([a_report(500, OTHER)], days(0, 400)),
        ([a_report(30, None)], days(0, 400)),
        ([a_report(500)], days(400, 400)),
    ],
    ids=[
        "no report",
        "refreshed by us",
        "refreshed by us, seen later",
        "seen only: at least that old",
        "another one was seen before",
        "another one was seen, this one never",
        "only what was seen before the first sight of it bounds its age",
        "a report from before the webhook",
        "a report that saw none",
        "never older than the webhook",
    ],
)
def test_the_age_is_bounded_by_what_was_seen(reports: list[dict[str, Any]], age: SecretAge) -> None:
    assert age_of(*reports) == age


def test_without_the_webhooks_age_only_reports_bound_it() -> None:
    assert age_of(created_at=None) == SecretAge(timedelta(), None)
    assert age_of(created_at=None).may_be_over(timedelta(days=9000))
    assert age_of(a_report(12), created_at=None) == SecretAge(timedelta(days=12), None)
    assert age_of(a_report(12, refreshed=True), created_at=None) == days(12, 12)


def test_clocks_that_disagree_make_no_negative_age() -> None:
    assert age_of(a_report(-1, refreshed=True)) == days(0, 0)
    assert age_of(a_report(-1)) == days(0, 400)
    assert age_of(created_at=START + timedelta(days=1)) == days(0, 0)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (days(12, 12), "12 d"),
        (days(0, 400), "unknown, at most 400 d"),
        (days(12, 20), "unknown, 12 d to 20 d"),
        (days(0.5, 1.5), "unknown, at most 1 d 12 h"),
        (SecretAge(timedelta(days=12), None), "unknown, at least 12 d"),
        (SecretAge(timedelta(days=1), None), "unknown, at least 1 d"),
        (SecretAge(timedelta(hours=12), None), "unknown"),
    ],
)
def test_the_age_is_said_with_its_doubt(age: SecretAge, words: str) -> None:
    assert str(age) == words


def test_what_can_be_said_about_a_limit() -> None:
    limit = timedelta(days=90)
    assert (days(91, 91).is_over(limit), days(90, 90).is_over(limit)) == (True, False)
    assert (days(0, 91).is_over(limit), days(0, 91).may_be_over(limit)) == (False, True)
    assert not days(0, 90).may_be_over(limit)


def test_hours_matter_for_young_things_only() -> None:
    assert (rounded(timedelta(hours=9)), rounded(timedelta(days=9, hours=9))) == ("9 h", "9 d")


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
A, B, C = "sha256:a", "sha256:b", "sha256:c"
NOW = START.isoformat()


def report(after: object = B, **facts: Any) -> dict[str, Any]:
    return {"webhook_id": WEBHOOK_ID, "before": A, "after": after, "at": NOW, **facts}


def after(*reports: dict[str, Any]) -> History:
    return history_of_events(WEBHOOK_ID, reports)


def test_what_earlier_runs_know_as_ours() -> None:
    history = after(
        report(),
        report(before=B, after=C, known=[A, "sha256:between", 5]),
        report(before=None, after=3),
        report(before="sha256:x", webhook_id="0" * 24),
        report(before="", after="", known=[""]),
    )
    assert set(history.known) == {A, B, C, "sha256:between"}
    assert after() == History(WEBHOOK_ID)
    assert history.known[-1] == C


def test_what_rotate_saw_replaced_is_over() -> None:
    """Only a rotation that saw another secret proves it: not one that asked for none, nor another webhook's."""
    history = after(
        report(how="answered"),
        report(how="found_after_lost_answer", before=C),
        report(how="already_done", before="sha256:d"),
        report(how="not_asked", before="sha256:e"),
        report(before="sha256:f"),
        report(how="answered", before=None),
        report(how="answered", before=B, after=B),
        report(how="answered", before="sha256:g", webhook_id="another"),
    )
    assert history.replaced == {A, C, "sha256:d"}


def test_a_secret_that_is_seen_again_is_not_called_replaced_any_more() -> None:
    """What Featurebase shows is the evidence; a report may have been wrong."""
    poisoned = after(report(how="already_done", before=B, after=A))
    assert poisoned.replaced == {B}
    assert poisoned.seeing(B, NOW, replaced=[A]).replaced == {A}


def test_a_claim_is_doubtful_once_it_is_too_old_for_a_lag() -> None:
    order = after(report(how="answered")).order
    (fresh, old) = (order(START + timedelta(minutes=10)), order(START + timedelta(minutes=10, seconds=1)))
    assert (fresh.is_doubtful(A), old.is_doubtful(A)) == (False, True)
    assert fresh.seen == old.seen == {A}


def test_what_was_seen_current_before_another_is_older() -> None:
    """Also where nobody saw the one replace the other; what was never seen current has no place in the order."""
    history = History(WEBHOOK_ID).knowing(known=["sha256:held"]).seeing(A, NOW).seeing(B, NOW).seeing(C, NOW)
    assert history.older_than(B) == (A,)
    assert history.older_than("sha256:by hand") == (A, B, C)
    assert history.older_than("sha256:held") == (A, B, C)
    assert history.order(START).seen == {A, B}
    assert history.order(START + HOUR).is_doubtful(A)


def test_a_secret_is_doubtful_by_when_it_was_replaced_or_else_by_when_the_newest_was_seen() -> None:
    history = History(WEBHOOK_ID).seeing(A, NOW).seeing(B, NOW, replaced=[A])
    history = history.seeing(C, (START + timedelta(minutes=5)).isoformat())
    order = history.order(START + timedelta(minutes=11))
    assert (order.is_doubtful(A), order.is_doubtful(B)) == (True, False)


def test_when_a_secret_was_first_said_to_be_replaced_counts() -> None:
    history = History(WEBHOOK_ID).seeing(B, NOW, replaced=[A])
    again = history.seeing(B, (START + timedelta(minutes=5)).isoformat(), replaced=[A])
    assert history.replaced == again.replaced == {A}, "also where no run had seen it"
    assert again.order(START + timedelta(minutes=11)).is_doubtful(A)


def test_when_another_secret_was_seen_last_bounds_the_age() -> None:
    """Also where a run between could not tell when it saw it."""
    history = History(WEBHOOK_ID).seeing(A, NOW).seeing(A, (START + DAY).isoformat()).seeing(A, None)
    age = history.seeing(B, (START + 2 * DAY).isoformat()).age(B, now=START + 3 * DAY)
    assert age == SecretAge(DAY, 2 * DAY)


@pytest.mark.parametrize("moment", [None, 12, "soon", "2026-01-15T10:30:00"])
def test_what_is_no_aware_time_tells_nothing(moment: object) -> None:
    """Reports are asset events, which anybody with the right to can create."""
    assert after(report(refreshed_at=moment, at=moment)).current_since(B) is None
    assert after(report(at=moment)).known == (A, B)


@pytest.mark.parametrize(
    ("reports", "over"),
    [
        ([report(refreshed_at=(START - 9 * HOUR).isoformat())], True),
        ([report(refreshed_at=(START - 8 * HOUR).isoformat())], False),
        ([report(at=(START - 9 * HOUR).isoformat())], True),
        ([report(at=(START - HOUR).isoformat(), refreshed_at=(START - 9 * HOUR).isoformat())], True),
        ([], False),
    ],
    ids=["over", "not yet", "by first report", "the refresh counts, not the report", "unknown"],
)
def test_when_a_previous_secret_has_had_its_time(reports: list[dict[str, Any]], over: bool) -> None:
    assert after(*reports).previous_is_over(B, now=START, previous_for=8 * HOUR) is over


def test_which_secrets_came_after_a_moment() -> None:
    history = after(report(refreshed_at=NOW), report(C, before=B, refreshed_at=(START + HOUR).isoformat()))
    assert history.refreshed_after(NOW) == {C}


def test_what_records_say_has_leaked() -> None:
    """Emergency runs name it and later plans carry it on; another webhook's records and odd ones are passed over."""
    records = [
        {"webhook_id": WEBHOOK_ID, "mode": "emergency", "before": A, "leaked": [B]},
        {"webhook_id": WEBHOOK_ID, "mode": "rotate", "before": C, "leaked": ["sha256:d"]},
        {"webhook_id": WEBHOOK_ID, "mode": "emergency", "before": None, "leaked": 5},
        {"webhook_id": "0" * 24, "mode": "emergency", "before": "sha256:e"},
        {},
        "odd",
    ]
    assert history_of_events(WEBHOOK_ID, (), records).leaked == {A, B, "sha256:d"}
    assert history_of_events(WEBHOOK_ID, records).leaked == {A, B, "sha256:d"}


def test_what_plans_set_out_from_is_ours() -> None:
    plans = [
        {"webhook_id": WEBHOOK_ID, "before": B, "known": [A, 5]},
        {"webhook_id": WEBHOOK_ID, "before": B},
        {"webhook_id": "0" * 24, "before": C},
        {"webhook_id": WEBHOOK_ID},
    ]
    assert set(history_of_events(WEBHOOK_ID, (), plans).known) == {A, B}


def test_a_rotation_is_remembered() -> None:
    plan = a_plan(known=("sha256:older",))
    stores = {"a": StoreOutcome("a", "memory://a", "written", B)}
    later = (START + HOUR).isoformat()
    outcome = RotationOutcome(plan, "answered", B, refreshed_at=NOW, distributed_at=later, stores=stores)
    history = History(WEBHOOK_ID).after_rotation(outcome, run=THIS_RUN.mark)
    assert history.known == (fingerprint("0"), "sha256:older", B)
    assert history.replaced == {fingerprint("0")}
    assert history.age(B, now=START + DAY) == SecretAge(DAY, DAY)
    assert history.tells_of(THIS_RUN)


def test_a_secret_that_a_run_found_refreshed_is_younger_than_its_plan() -> None:
    """The worker died after the refresh, so nobody knows when that was; ``min_age`` holds all the same."""
    outcome = RotationOutcome(a_plan(), "already_done", B, distributed_at=(START + HOUR).isoformat())
    age = History(WEBHOOK_ID).after_rotation(outcome).age(B, now=START + 2 * HOUR)
    assert age == SecretAge(HOUR, 2 * HOUR)
    same_second = RotationOutcome(
        a_plan(), "already_done", B, distributed_at=(START - timedelta(seconds=1)).isoformat()
    )
    age = History(WEBHOOK_ID).after_rotation(same_second).age(B, now=START + HOUR)
    assert age.at_most == HOUR + timedelta(seconds=1)
    again = History(WEBHOOK_ID).after_rotation(outcome).after_rotation(outcome)
    assert again.known == (fingerprint("0"), B)


def test_what_a_plan_sets_out_from_keeps_what_is_known_of_it() -> None:
    history = History(WEBHOOK_ID).seeing(fingerprint("0"), NOW, refreshed_at=(START - DAY).isoformat())
    outcome = RotationOutcome(a_plan(), "answered", B, distributed_at=NOW)
    assert history.after_rotation(outcome).current_since(fingerprint("0")) == START - DAY


def test_what_a_plan_set_out_from_was_seen_when_it_was_planned() -> None:
    """So it is older than what came after it, and bounds its age, though no run had seen it before."""
    outcome = RotationOutcome(a_plan(), "already_done", B, distributed_at=(START + HOUR).isoformat())
    history = History(WEBHOOK_ID).after_rotation(outcome)
    before = history.secrets[0]
    assert (before.fingerprint, before.first_seen, before.last_seen) == (fingerprint("0"), NOW, NOW)
    assert history.older_than(B) == (fingerprint("0"),)


def test_a_run_that_only_distributes_makes_no_secret_younger() -> None:
    history = History(WEBHOOK_ID).seeing(fingerprint("0"), (START - 10 * DAY).isoformat())
    outcome = RotationOutcome(a_plan(mode="distribute"), "not_asked", fingerprint("0"), distributed_at=NOW)
    assert history.after_rotation(outcome).age(fingerprint("0"), now=START).at_least == 10 * DAY


def test_what_is_known_twice_is_one_secret() -> None:
    assert History(WEBHOOK_ID).knowing(known=[A, B, A]).knowing(known=[B, C]).known == (C, A, B)


@pytest.mark.parametrize(
    ("how", "after"), [("not_asked", fingerprint("0")), ("answered", fingerprint("0")), ("not_asked", B)]
)
def test_a_run_that_refreshed_nothing_calls_nothing_replaced(how: Any, after: str) -> None:
    """Also where it ended with another secret than it set out from: it may have set out from a stale read."""
    outcome = RotationOutcome(a_plan(), how, after, distributed_at=NOW)
    assert History(WEBHOOK_ID).after_rotation(outcome).replaced == frozenset()


@pytest.mark.parametrize(
    ("how", "after", "replaced"),
    [
        ("answered", B, {fingerprint("0")}),
        ("answered", fingerprint("0"), set()),
        ("not_asked", B, set()),
        (None, fingerprint("0"), set()),
    ],
    ids=["refreshed", "the old one is shown again", "only distributed", "never came to rotate"],
)
def test_a_report_is_remembered(how: Any, after: str, replaced: set[str]) -> None:
    before = (START - HOUR).isoformat()
    rotation = RotationOutcome(a_plan(), how, after, refreshed_at=before, seen=("sha256:between",)) if how else None
    report = make_report(
        RunFacts(a_plan(), rotation, {}, current=after),
        webhook="production", dag_id="d", run_id="r", at=NOW, mode="rotate",
    )  # fmt: skip
    history = History(WEBHOOK_ID).after_report(report, run="mark")
    assert (history.replaced, history.runs) == (replaced, ("mark",))
    assert (history.known[-1], history.current_since(after)) == (after, START - HOUR if how else START)
    assert set(history.known) >= {fingerprint("0"), *(["sha256:between"] if how else [])}
    assert History(WEBHOOK_ID).after_report(report).runs == ()


def test_a_report_of_a_run_that_read_no_secret_calls_none_replaced() -> None:
    report = make_report(RunFacts(None, None, {}), webhook="production", dag_id="d", run_id="r", at=NOW, mode="rotate")
    assert History(WEBHOOK_ID).after_report(report) == History(WEBHOOK_ID)


def test_places_of_a_previous_secret_that_no_store_names_any_more_are_told() -> None:
    """Nobody removes the secret there, so a person has to."""
    history = History(WEBHOOK_ID).after_rotation(an_outcome(), previous_in=["vault://a", "ssm://b"])
    history = history.after_rotation(an_outcome(), previous_in=["ssm://b", "file:///c"])
    assert history.previous_in == ("vault://a", "ssm://b", "file:///c")
    told = history.left_behind(["ssm://b"])
    assert told is not None
    assert [place in told for place in history.previous_in] == [True, False, True]
    assert history.left_behind(history.previous_in) is None


def test_a_history_survives_json() -> None:
    """What has leaked too: the event that told it may be purged by then."""
    history = History(WEBHOOK_ID).after_rotation(an_outcome(), run=THIS_RUN.mark, previous_in=["vault://a"])
    history = history.knowing(leaked=[B, A])
    raw = history.as_json()
    assert json.loads(json.dumps(raw)) == raw
    assert History.from_json(raw, WEBHOOK_ID) == history


def test_of_the_places_the_newest_are_kept() -> None:
    places = [f"memory://{number}" for number in range(MOST_PLACES + 1)]
    history = History(WEBHOOK_ID).after_rotation(an_outcome(), previous_in=places)
    assert history.previous_in == tuple(places[1:])


def test_whether_a_runs_rotate_task_was_started() -> None:
    history = History(WEBHOOK_ID).seeing(None, None, run="other 1").seeing(None, None, run=THIS_RUN.mark)
    anew = ThisRun(THIS_RUN.dag_id, THIS_RUN.run_id, (START + DAY).isoformat(), later_try=True)
    assert not history.tells_of(anew), "the run was deleted and made anew"
    cleared = ThisRun(THIS_RUN.dag_id, THIS_RUN.run_id, (START + DAY).isoformat(), later_try=True, cleared=True)
    assert history.tells_of(cleared), "Airflow forgot when it began first"
    assert not history.tells_of(ThisRun("another", THIS_RUN.run_id, cleared=True))


def test_a_run_is_named_once() -> None:
    history = History(WEBHOOK_ID)
    for run in ("one", "two", "one"):
        history = history.seeing(None, None, run=run)
    assert history.runs == ("two", "one")


def test_a_history_of_years_stays_small_and_keeps_the_newest() -> None:
    history = History(WEBHOOK_ID)
    for day in range(1094):
        at = (START + day * DAY).isoformat()
        now, before = fingerprint(str(day)), fingerprint(str(day - 1))
        facts: dict[str, Any] = {"refreshed_at": at, "refreshed_by": f"{day:012x}", "run": f"{day:012x} {at}"}
        history = history.seeing(now, at, replaced=[before], known=[before], **facts)
    assert (len(history.secrets), len(history.runs)) == (MOST_SECRETS, MOST_RUNS)
    assert history.known[-2:] == (fingerprint("1092"), fingerprint("1093"))
    memory = a_memory()
    memory.write("history", history.as_json())
    (text,) = memory.memory.records.values()  # type: ignore[attr-defined]
    assert len(text) < LARGEST_RECORD / 1.5
    assert recall(memory) == history


def test_odd_entries_are_left_out() -> None:
    raw = {"secrets": [5, {"fingerprint": ""}, {"fingerprint": A, "odd": 1}], "leaked": [B, 5], "runs": "none"}
    history = History.from_json(raw, WEBHOOK_ID)
    assert (history.known, history.leaked, history.runs) == ((A,), {B}, ())


def test_events_are_read_only_where_there_is_no_record_yet() -> None:
    memory = a_memory()
    assert recall(memory, events=lambda: ([report()], [])).known == (A, B)
    memory.write("history", History(WEBHOOK_ID).seeing(C, NOW).as_json())

    def never() -> Any:
        raise AssertionError("asked for events")

    assert recall(memory, events=never).known == (C,)


def test_plans_and_leaks_tell_of_runs_that_left_no_more() -> None:
    memory, key = a_memory(), plan_key("dag", "preflight")
    memory.keep_plan(key, a_plan(leaked=[B]))
    memory.add_leaked([C])
    history = recall(memory, plan_keys=[key, plan_key("dag", "other")])
    assert (history.known, history.leaked) == ((fingerprint("0"),), {B, C})


def test_what_cannot_be_read_stops_who_needs_it_and_is_told_to_who_does_not() -> None:
    store = DictMemory()
    memory, problems = a_memory(store), []
    store.problem = MemoryUnknown(WEBHOOK_ID, "v", "could not be read")
    with pytest.raises(MemoryUnknown):
        recall(memory)
    assert recall(memory, plan_keys=["1"], tolerate=problems.append) == History(WEBHOOK_ID)
    assert problems == [store.problem] * 3


def test_one_spoilt_record_costs_no_other() -> None:
    store = DictMemory()
    memory, problems = a_memory(store), []
    memory.add_leaked([C])
    store.records[f"{memory.prefix}history"] = "5"
    history = recall(memory, tolerate=problems.append, events=lambda: pytest.fail("unknown is not absent"))
    assert (history.leaked, [type(one) for one in problems]) == ({C}, [MemorySpoilt])


def test_of_an_unknown_secret_nothing_is_stale() -> None:
    assert not History(WEBHOOK_ID).order(START).is_stale(a_webhook())


def an_outcome(**facts: Any) -> RotationOutcome:
    return RotationOutcome(**{"plan": a_plan(), "how": "answered", "after": fingerprint("1"), **facts})


def shown(name: str, days: float = 0) -> Any:
    return a_webhook(f"whsec_{name}", updated_at=START + timedelta(days=days))


def test_a_run_knows_what_it_replaced_and_what_is_newest() -> None:
    """Its own secret is never stale, whatever updatedAt says; an unknown one is, if it is older."""
    order = order_of(a_plan(leaked=["sha256:l"], older=["sha256:o"]), an_outcome(updated_at=START.isoformat()))
    assert order.seen == {fingerprint("0"), fingerprint("1"), "sha256:l", "sha256:o"}
    assert (order.is_stale(shown("0", 1)), order.is_stale(shown("1", -1))) == (True, False)
    assert (order.is_stale(shown("9", -1)), order.is_stale(shown("9", 1))) == (True, False)


def test_a_run_that_replaced_nothing_knows_only_what_is_older() -> None:
    assert order_of(a_plan(older=["sha256:o"]), None).seen == frozenset()
    assert order_of(a_plan(older=["sha256:o"]), an_outcome(how="not_asked", after=fingerprint("0"))).seen == {
        "sha256:o"
    }


def test_what_rotate_ended_with_is_current_whatever_the_plan_calls_it() -> None:
    """The plan may rest on a stale read; see ``RotationPlan.doubtful``."""
    outcome = an_outcome(how="already_done", after=fingerprint("1"))
    order = order_of(a_plan(older=[fingerprint("1")]), outcome, History(WEBHOOK_ID).seeing(fingerprint("1"), None))
    assert not order.is_stale(a_webhook("whsec_1"))


def test_what_rotate_ended_with_may_be_current_though_a_later_run_saw_it_replaced() -> None:
    """If Featurebase goes on showing it."""
    ended, before = fingerprint("1"), (START - DAY).isoformat()
    history = History(WEBHOOK_ID).seeing(ended, before).seeing(fingerprint("2"), before)
    order = order_of(a_plan(older=[ended]), an_outcome(how="already_done"), history, START)
    assert (order.is_stale(shown("1")), order.is_doubtful(ended)) == (True, True)


def test_who_knows_no_time_tells_no_order_and_doubts_nothing() -> None:
    history = History(WEBHOOK_ID).seeing(A, NOW).seeing(B, NOW)
    assert order_of(a_plan(), None, history).seen == frozenset()
    order = order_of(a_plan(), an_outcome(how="already_done", distributed_at=NOW), history)
    assert (order.seen, order.is_doubtful(fingerprint("0"))) == ({fingerprint("0"), fingerprint("1")}, False)


def test_a_later_runs_secret_is_newer_than_this_runs() -> None:
    history = History(WEBHOOK_ID).seeing(fingerprint("1"), NOW).seeing(fingerprint("2"), NOW)
    order = order_of(a_plan(), an_outcome(updated_at=START.isoformat()), history, START)
    assert order.newest is None
    assert (order.is_stale(shown("1")), order.is_stale(shown("2", -1))) == (True, False)


@pytest.mark.parametrize(
    ("how", "minutes", "doubtful"), [("already_done", 11, True), ("already_done", 10, False), ("answered", 11, False)]
)
def test_what_a_run_did_not_replace_itself_is_doubtful_after_a_while(how: Any, minutes: int, doubtful: bool) -> None:
    outcome = an_outcome(how=how, distributed_at=NOW)
    order = order_of(a_plan(), outcome, History(WEBHOOK_ID), START + timedelta(minutes=minutes))
    assert order.is_doubtful(fingerprint("0")) is doubtful
