from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.featurebase.errors import (
    ApiError,
    ApiUnavailable,
    ApiUnreachable,
    AuthenticationFailed,
    RateLimited,
    UnexpectedAnswer,
    WebhookNotFound,
)
from featurebase_provider.rotation.clock import SYSTEM_CLOCK
from featurebase_provider.rotation.current import SecretOrder
from featurebase_provider.rotation.errors import RefreshOutcomeUnknown, RefreshRefused, SecretMissing, StaleRead
from featurebase_provider.rotation.refresh import CompareAndSwap
from tests.world.fakes import (
    START,
    WEBHOOK_ID,
    Clock,
    FakeFeaturebase,
    a_plan,
    a_webhook,
    api_unreachable,
    fingerprint,
    secret,
)

PATH = f"/v2/webhooks/{WEBHOOK_ID}/secret"


def swap(api: FakeFeaturebase, **changes: Any) -> CompareAndSwap:
    clock = api.clock
    facts = {"plan": a_plan(api.history[1]), "clock": clock, **changes}
    return CompareAndSwap(api=api, **facts)


def test_it_refreshes_and_takes_the_answer(api: FakeFeaturebase, clock: Clock) -> None:
    """The answer of the POST is used as it is: a read first would lengthen the exposure."""
    order = SecretOrder()
    refreshed = swap(api, order=order).run()
    assert (refreshed.webhook.secret, refreshed.how) == (api.secret, "answered")
    assert refreshed.posted_at == 1000.0
    assert (api.posts, api.reads) == (1, 1)
    assert order.seen == {fingerprint("0"), fingerprint("1")}
    assert order.is_stale(a_webhook("whsec_0", updated_at=START + timedelta(days=1)))


def test_a_secret_that_moved_on_is_not_refreshed(api: FakeFeaturebase) -> None:
    """An earlier try, or somebody else, has refreshed: whoever it was, no second refresh."""
    api.rotated()
    said: list[str] = []
    order = SecretOrder()
    refreshed = swap(api, order=order, say=said.append).run()
    assert (refreshed.how, refreshed.posted_at, api.posts) == ("already_done", None, 0)
    assert refreshed.webhook.secret == api.secret
    assert order.newest == fingerprint("1")
    assert said == list(refreshed.notes)
    assert fingerprint("0") in said[0]
    assert order.is_stale(a_webhook("whsec_0", updated_at=START + timedelta(days=1)))


@pytest.mark.parametrize("mode", ["distribute", "dry_run"])
def test_only_mode_rotate_refreshes(api: FakeFeaturebase, mode: Any) -> None:
    order = SecretOrder()
    refreshed = swap(api, plan=a_plan(mode=mode), order=order).run()
    assert (refreshed.how, api.posts, order.newest) == ("not_asked", 0, fingerprint("0"))
    assert refreshed.webhook.secret == api.secret


def test_a_stale_baseline_read_is_read_again(api: FakeFeaturebase) -> None:
    """A read that is older than the plan must not pass for "already done"."""
    api.read_script.extend([api.history[0], api.history[0]])
    assert swap(api).run().how == "answered"
    assert (api.reads, api.posts) == (3, 1)


def test_a_baseline_that_stays_stale_refreshes_nothing(api: FakeFeaturebase) -> None:
    api.change(updated_at=START - timedelta(days=99))
    with pytest.raises(StaleRead, match="for 5 s"):
        swap(api, plan=a_plan(api.history[1]), grace=5.0).run()
    assert (api.posts, api.clock.now) == (0, 1005.0)


def test_a_plan_without_updated_at_compares_fingerprints_only(api: FakeFeaturebase) -> None:
    """The API documents updatedAt, yet a plan may lack it: then the fingerprint decides."""
    plan = replace(a_plan(), updated_at=None)
    assert swap(api, plan=plan).run().how == "answered"
    api.read_script.append(api.history[0])
    assert swap(api, plan=plan).run().how == "already_done"


def test_may_post_holds_the_refresh_back(api: FakeFeaturebase) -> None:
    def hold() -> None:
        raise RefreshRefused(WEBHOOK_ID, "too late")

    with pytest.raises(RefreshRefused):
        swap(api).run(hold)
    assert api.posts == 0


def test_may_post_is_not_asked_where_nothing_is_posted(api: FakeFeaturebase) -> None:
    api.rotated()
    swap(api).run(lambda: pytest.fail("nothing is posted"))


@pytest.mark.parametrize("status", ["paused", "suspended"])
def test_a_webhook_that_went_inactive_since_the_plan_is_not_refreshed(api: FakeFeaturebase, status: str) -> None:
    api.change(status=status)
    with pytest.raises(RefreshRefused, match=f"{WEBHOOK_ID}: .* is '{status}' now; its secret was not"):
        swap(api).run()
    assert api.posts == 0
    assert swap(api, allow_inactive=True).run().how == "answered"


def test_a_webhook_that_was_planned_inactive_is_refreshed(api: FakeFeaturebase) -> None:
    paused = api.change(status="paused")
    assert swap(api, plan=a_plan(paused)).run().how == "answered"


@pytest.mark.parametrize(
    "refusal",
    [
        WebhookNotFound("POST", PATH, 404),
        AuthenticationFailed("POST", PATH, 401),
        RateLimited("POST", PATH, 429),
        ApiUnreachable("POST", PATH, was_sent=False),
    ],
)
def test_a_refusal_is_raised_at_once(api: FakeFeaturebase, refusal: ApiError) -> None:
    """Where Featurebase certainly did not carry it out, there is nothing to look for."""
    api.post_script.append(refusal)
    with pytest.raises(type(refusal)):
        swap(api).run()
    assert (api.reads, api.posts) == (1, 1)


@pytest.mark.parametrize("fault", ["lost_after", "old_answer_after", "no_secret_after"])
def test_an_unusable_answer_is_settled_by_reading(api: FakeFeaturebase, fault: Any) -> None:
    api.post_script.append(fault)
    said: list[str] = []
    order = SecretOrder()
    refreshed = swap(api, say=said.append, order=order).run()
    assert (refreshed.how, refreshed.posted_at, api.posts) == ("found_after_lost_answer", 1000.0, 1)
    assert order.is_stale(a_webhook("whsec_0", updated_at=START + timedelta(days=1)))
    assert refreshed.webhook.secret == api.secret
    assert fingerprint("1") in refreshed.notes[0]
    assert (said[1:], order.newest) == (list(refreshed.notes), fingerprint("1"))


@pytest.mark.parametrize(
    ("fault", "answer"), [("lost_before", "504"), ("old_answer", "old secret"), ("no_secret", "no secret")]
)
def test_no_change_within_the_grace_is_an_unknown_outcome(
    api: FakeFeaturebase, clock: Clock, fault: Any, answer: str
) -> None:
    """The same attempt never posts again; the error says what is known and that a retry is safe."""
    api.post_script.append(fault)
    text = f"{WEBHOOK_ID}: .*{answer}.*For 60 s .*{fingerprint('0')}.*compares again"
    with pytest.raises(RefreshOutcomeUnknown, match=text) as caught:
        swap(api).run()
    assert api.posts == 1
    assert clock.now == pytest.approx(1060.1)
    assert caught.value.retry_helps


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.0, 30.0, 59.8])
def test_a_commit_within_the_grace_is_found(api: FakeFeaturebase, seconds: float) -> None:
    api.post_script.append(seconds)
    assert swap(api).run().how == "found_after_lost_answer"
    assert api.posts == 1


def test_a_commit_at_the_end_of_a_short_grace_is_found(api: FakeFeaturebase) -> None:
    api.post_script.append(0.4)
    assert swap(api, grace=0.5).run().how == "found_after_lost_answer"


def test_a_lost_answer_is_looked_for_often_at_first(api: FakeFeaturebase, clock: Clock) -> None:
    """Most likely it is there at once, and every second counts; later the rate limit does."""
    times: list[float] = []
    api.on_read = lambda count: times.append(clock.now)
    api.post_script.append("lost_before")
    with pytest.raises(RefreshOutcomeUnknown):
        swap(api).run()
    after_post = [round(at - times[1], 1) for at in times[1:]]
    assert after_post == [0, 0.2, 0.6, 1.4, 3.0, *(6.2 + 5 * number for number in range(11)), 60.0]


def test_a_commit_after_the_grace_is_found_by_the_retry(api: FakeFeaturebase, clock: Clock) -> None:
    """The retry watches for the grace before it posts, so a commit meanwhile means no second refresh."""
    api.post_script.append(100.0)
    with pytest.raises(RefreshOutcomeUnknown):
        swap(api).run()
    said: list[str] = []
    refreshed = swap(api, later_attempt=True, say=said.append).run()
    assert (refreshed.how, api.posts) == ("already_done", 1)
    assert "takes effect late" in said[0]


@pytest.mark.parametrize("mode", ["rotate", "distribute"])
def test_a_later_attempt_with_nothing_to_wait_for_does_not_wait(api: FakeFeaturebase, clock: Clock, mode: Any) -> None:
    """The secret has moved on already, or the run refreshes nothing."""
    plan = a_plan(api.current, mode=mode)
    if plan.refreshes:
        api.rotated()
    said: list[str] = []
    refreshed = swap(api, plan=plan, later_attempt=True, say=said.append).run()
    assert (refreshed.webhook.secret, api.reads, clock.now) == (api.secret, 1, 1000.0)
    assert said == list(refreshed.notes)


def test_by_default_it_goes_by_the_real_time(api: FakeFeaturebase) -> None:
    by_default = CompareAndSwap(api, a_plan())
    assert by_default.clock is SYSTEM_CLOCK


def test_a_later_attempt_posts_after_the_watch(api: FakeFeaturebase, clock: Clock) -> None:
    refreshed = swap(api, later_attempt=True).run()
    assert refreshed.how == "answered"
    assert refreshed.posted_at == pytest.approx(1060.0)


def test_a_later_attempt_checks_the_status_again_after_its_watch(api: FakeFeaturebase, clock: Clock) -> None:
    """Check and POST are at most seconds apart, though a watch of a minute lies before them."""
    clock.at(30, lambda: api.change(status="paused"))
    with pytest.raises(RefreshRefused, match="'paused'"):
        swap(api, later_attempt=True).run()
    assert api.posts == 0


def test_a_later_attempt_that_cannot_read_does_not_post(api: FakeFeaturebase) -> None:
    api.read_script.append(None)
    api.read_script.extend([ApiUnavailable("GET", PATH, 503)] * 100)
    with pytest.raises(RefreshOutcomeUnknown, match="can't be read"):
        swap(api, later_attempt=True).run()
    assert api.posts == 0


def test_unreadable_for_a_while_is_read_on(api: FakeFeaturebase) -> None:
    api.post_script.append("lost_after")
    api.read_script.extend([None, api_unreachable(), ApiUnavailable("GET", PATH, 503)])
    assert swap(api).run().how == "found_after_lost_answer"


def test_a_stale_read_older_than_the_plan_is_no_find(api: FakeFeaturebase) -> None:
    api.post_script.append("lost_before")
    api.read_script.extend([None, *[api.history[0]] * 3])
    with pytest.raises(RefreshOutcomeUnknown):
        swap(api).run()


@pytest.mark.parametrize(
    "error",
    [WebhookNotFound("GET", PATH, 404), AuthenticationFailed("GET", PATH, 401)],
)
def test_a_refused_read_after_a_lost_answer_leaves_the_outcome_unknown(api: FakeFeaturebase, error: ApiError) -> None:
    """Not the read's own error: the task must say that the secret may be another one, and Airflow must retry."""
    api.post_script.append("lost_after")
    api.read_script.extend([None, error])
    with pytest.raises(RefreshOutcomeUnknown, match=f"{WEBHOOK_ID}: .*deliveries fail until a retry") as caught:
        swap(api).run()
    for text in ("POST", "504", error.summary, error.to_do):
        assert text in str(caught.value)
    assert "Nothing was changed" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_unreadable_to_the_end_leaves_the_outcome_unknown(api: FakeFeaturebase) -> None:
    """What became of the refresh is told beside why it can't be read."""
    api.post_script.append("lost_after")
    api.read_script.extend([None, *[api_unreachable()] * 100])
    with pytest.raises(RefreshOutcomeUnknown, match="504.*can't be read"):
        swap(api).run()
    assert api.posts == 1


def test_reads_without_a_secret_after_a_lost_answer_leave_the_outcome_unknown(api: FakeFeaturebase) -> None:
    """Once a refresh was sent, an answer without a secret is no reason to say that nothing changed."""
    api.post_script.append("lost_after")
    api.read_script.extend([None, *[a_webhook(None)] * 100])
    with pytest.raises(RefreshOutcomeUnknown, match="contains no signing secret") as caught:
        swap(api).run()
    assert caught.value.retry_helps


def test_one_read_without_a_secret_is_read_on(api: FakeFeaturebase) -> None:
    api.post_script.append("lost_after")
    api.read_script.extend([None, a_webhook(None)])
    assert swap(api).run().how == "found_after_lost_answer"


def test_a_baseline_without_a_secret_refreshes_nothing(api: FakeFeaturebase) -> None:
    api.read_script.append(a_webhook(None))
    with pytest.raises(SecretMissing):
        swap(api).run()
    assert api.posts == 0


def test_a_broken_body_is_an_ambiguous_answer(api: FakeFeaturebase) -> None:
    api.post_script.append(UnexpectedAnswer("POST", PATH, 200, detail="not JSON"))
    with pytest.raises(RefreshOutcomeUnknown, match="not JSON"):
        swap(api).run()
    assert api.reads > 2


def test_no_message_holds_a_secret(api: FakeFeaturebase) -> None:
    said: list[str] = []
    api.post_script.append("lost_before")
    with pytest.raises(RefreshOutcomeUnknown) as caught:
        swap(api, say=said.append).run()
    assert "whsec_" not in f"{caught.value!r} {caught.value} {said}"


def test_what_the_plan_knows_as_older_is_never_taken_for_new(api: FakeFeaturebase) -> None:
    """A rotation by hand that moved no updatedAt, then one lagging read in a run that only distributes."""
    api.bumps_updated_at = False
    api.rotated()
    plan = a_plan(api.current, mode="distribute", older=[fingerprint("0")])
    api.read_script.append("stale")
    order = SecretOrder()
    refreshed = swap(api, plan=plan, order=order).run()
    assert order.is_stale(a_webhook("whsec_0"))
    assert (refreshed.how, refreshed.webhook.fingerprint) == ("not_asked", fingerprint("1"))


def test_an_older_secret_that_stays_stops_the_refresh(api: FakeFeaturebase) -> None:
    plan = a_plan(a_webhook("whsec_1"), older=[fingerprint("0")])
    with pytest.raises(StaleRead, match="known to have been replaced"):
        swap(api, plan=plan).run()
    assert api.posts == 0


def test_an_older_secret_that_stays_long_after_the_plan_is_what_is_current(api: FakeFeaturebase) -> None:
    """The plan rests on a stale read of a secret that no run had seen: nothing is refreshed by it."""
    plan = a_plan(a_webhook("whsec_unheard_of"), older=[fingerprint("0"), fingerprint("even older")])
    assert plan.doubtful(START + timedelta(minutes=10)) == frozenset()
    doubtful = plan.doubtful(START + timedelta(minutes=11))
    refreshed = swap(api, plan=plan, doubtful=doubtful).run()
    assert (refreshed.how, refreshed.webhook.fingerprint, api.posts) == ("already_done", fingerprint("0"), 0)


def test_a_doubt_about_others_refreshes_as_planned(api: FakeFeaturebase) -> None:
    plan = a_plan(api.current, older=[fingerprint("older")])
    refreshed = swap(api, plan=plan, doubtful=plan.doubtful(START + timedelta(hours=1))).run()
    assert (refreshed.how, api.posts) == ("answered", 1)


@pytest.mark.parametrize("doubted", [False, True])
def test_an_older_secret_is_not_what_a_lost_refresh_led_to(api: FakeFeaturebase, doubted: bool) -> None:
    """A doubt about it ends as soon as Featurebase is seen to hold the plan's own."""
    api.bumps_updated_at = False
    api.rotated()
    plan = a_plan(api.current, older=[fingerprint("0")])
    api.post_script.append("lost_after")
    api.read_script.extend([None, a_webhook("whsec_0")])
    doubtful = frozenset(plan.older if doubted else ())
    assert swap(api, plan=plan, doubtful=doubtful).run().webhook.fingerprint == fingerprint("2")


@pytest.mark.parametrize("shown", ["0", "unheard_of"])
def test_an_emergency_refreshes_whatever_its_first_try_reads(api: FakeFeaturebase, shown: str) -> None:
    """Its plan may have been made from a stale read; nothing holds it up, and no secret that was there is to stay."""
    plan = a_plan(a_webhook("whsec_old"), mode="emergency", known=[fingerprint("0")])
    api.change(secret=secret(shown), updated_at=START - timedelta(days=60))
    before = api.clock.now
    refreshed = swap(api, plan=plan).run()
    assert (refreshed.how, api.posts) == ("answered", 1)
    assert api.clock.now - before < 1


def test_a_later_try_of_an_emergency_knows_its_own_secret(api: FakeFeaturebase) -> None:
    plan = a_plan(api.current, mode="emergency")
    api.rotated()
    assert (swap(api, plan=plan, later_attempt=True).run().how, api.posts) == ("already_done", 0)


def test_a_later_try_of_an_emergency_leaves_no_secret_that_has_leaked(api: FakeFeaturebase) -> None:
    """The plan rests on a stale read; what Featurebase holds was known before the emergency, so it is no news."""
    plan = a_plan(a_webhook("whsec_old"), mode="emergency", known=[fingerprint("0")])
    refreshed = swap(api, plan=plan, later_attempt=True).run()
    assert (refreshed.how, refreshed.webhook.fingerprint, api.posts) == ("answered", fingerprint("1"), 1)


def test_a_rotation_does_not_refresh_because_of_a_leak(api: FakeFeaturebase) -> None:
    """The secret is no longer the plan's: to replace it once more is for an emergency, or for a new run."""
    plan = a_plan(api.current, leaked=[fingerprint("1")])
    api.rotated()
    assert (swap(api, plan=plan).run().how, api.posts) == ("already_done", 0)


def test_an_emergency_leaves_a_secret_that_came_after_its_plan(api: FakeFeaturebase) -> None:
    """A rotation was under way, and its run has told when it refreshed."""
    plan = a_plan(api.current, mode="emergency")
    api.rotated()
    newer = frozenset({fingerprint("1")})
    assert (swap(api, plan=plan, newer=newer).run().how, api.posts) == ("already_done", 0)


def test_an_emergencys_lost_refresh_is_told_from_what_it_found(api: FakeFeaturebase) -> None:
    plan = a_plan(a_webhook("whsec_old"), mode="emergency")
    api.change(secret=secret("unheard_of"))
    api.post_script.append("lost_before")
    with pytest.raises(RefreshOutcomeUnknown):
        swap(api, plan=plan).run()
