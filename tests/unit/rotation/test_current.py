from __future__ import annotations

from datetime import timedelta

import pytest

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.rotation.current import SecretOrder, read_current, secret_of
from featurebase_provider.rotation.errors import SecretMissing, StaleRead
from tests.world.fakes import START, WEBHOOK_ID, Clock, FakeFeaturebase, a_webhook, api_unreachable, fingerprint


def read(api: FakeFeaturebase, order: SecretOrder, **options: float) -> str | None:
    clock = api.clock
    return read_current(api, WEBHOOK_ID, order, clock=clock, **options).fingerprint


def test_secret_of_an_answer_without_one_is_an_error() -> None:
    with pytest.raises(SecretMissing, match=f"{WEBHOOK_ID}.*no store was changed"):
        secret_of(a_webhook(None))


def test_knowing_nothing_the_first_answer_is_current(api: FakeFeaturebase) -> None:
    order = SecretOrder()
    assert read(api, order) == order.newest == fingerprint("0")
    assert order.seen == {fingerprint("0")}


def test_a_replaced_secret_is_stale_even_with_a_new_updated_at(api: FakeFeaturebase) -> None:
    """A read may mix states: updatedAt alone does not make a replaced secret current."""
    order = SecretOrder(replaced={fingerprint("0")})
    assert order.is_stale(a_webhook("whsec_0", updated_at=START + timedelta(days=1)))
    assert not order.is_stale(a_webhook("whsec_1"))


def test_an_older_updated_at_is_stale_even_with_an_unknown_secret() -> None:
    order = SecretOrder(updated_at=START)
    assert order.is_stale(a_webhook("whsec_9", updated_at=START - timedelta(seconds=1)))
    assert not order.is_stale(a_webhook("whsec_9", updated_at=START))


def test_an_unknown_updated_at_says_nothing() -> None:
    """An answer without it is judged by its fingerprint alone, and does not make older ones newer."""
    order = SecretOrder(updated_at=START)
    unknown = a_webhook("whsec_9", updated_at=None)
    assert not order.is_stale(unknown)
    order.advance(unknown)
    assert order.is_stale(a_webhook("whsec_8", updated_at=START - timedelta(seconds=1)))


def test_the_newest_secret_is_never_stale(api: FakeFeaturebase) -> None:
    """A GET may give whole seconds where the refresh's answer gave milliseconds."""
    order = SecretOrder()
    order.advance(a_webhook("whsec_9", updated_at=START + timedelta(milliseconds=900)))
    assert not order.is_stale(a_webhook("whsec_9", updated_at=START))
    assert not order.is_stale(a_webhook("whsec_10", updated_at=START)), "refreshed again within that second"
    assert order.is_stale(a_webhook("whsec_8", updated_at=START - timedelta(seconds=1)))


def test_a_claim_of_long_ago_is_called_back_by_a_read_that_stays(api: FakeFeaturebase) -> None:
    """Featurebase holds what it goes on showing, whatever an earlier run has reported."""
    order = SecretOrder(replaced={fingerprint("0")}, doubtful={fingerprint("0")})
    assert read(api, order) == fingerprint("0")
    assert api.clock.now == pytest.approx(1030)
    assert order.newest == fingerprint("0")


def test_reads_that_differ_call_nothing_back(api: FakeFeaturebase) -> None:
    both = {fingerprint("0"), fingerprint("older")}
    api.read_script.extend(["stale", None] * 40)
    with pytest.raises(StaleRead):
        read(api, SecretOrder(replaced=both, doubtful=both))


def test_what_this_run_saw_replaced_is_not_doubtful() -> None:
    order = SecretOrder(replaced={fingerprint("0")}, doubtful={fingerprint("0"), fingerprint("1")})
    assert [order.is_doubtful(fingerprint(name)) for name in "01"] == [True, False]
    more = order.with_replaced({fingerprint("0"), fingerprint("2")}, newest=fingerprint("3"))
    assert (more.is_doubtful(fingerprint("0")), more.newest) == (False, fingerprint("3"))
    assert more.seen == {fingerprint(name) for name in "023"}
    assert order.with_replaced({fingerprint("2")}).is_doubtful(fingerprint("0"))
    assert order.with_replaced({fingerprint("2")}, doubtful={fingerprint("2")}).is_doubtful(fingerprint("2"))
    order.replace(fingerprint("0"))
    assert not order.is_doubtful(fingerprint("0"))


def test_a_read_that_was_made_before_is_not_made_again(api: FakeFeaturebase) -> None:
    shown = a_webhook("whsec_0")
    assert read_current(api, WEBHOOK_ID, SecretOrder(), first=shown) is shown
    assert api.reads == 0


def test_advancing_replaces_what_was_newest() -> None:
    order = SecretOrder()
    order.advance(a_webhook("whsec_0"))
    order.advance(a_webhook("whsec_1"))
    assert order.is_stale(a_webhook("whsec_0"))
    assert order.newest == fingerprint("1")
    assert order.seen == {fingerprint("0"), fingerprint("1")}


def test_seeing_the_same_secret_again_replaces_nothing() -> None:
    order = SecretOrder()
    order.advance(a_webhook("whsec_0"))
    order.advance(a_webhook("whsec_0", updated_at=START))
    assert not order.is_stale(a_webhook("whsec_0", updated_at=START))


def test_what_is_known_to_be_current_is_not_replaced() -> None:
    order = SecretOrder(replaced={fingerprint("0"), fingerprint("1")}, newest=fingerprint("1"))
    assert not order.is_stale(a_webhook("whsec_1"))
    assert order.is_stale(a_webhook("whsec_0"))


def test_replacing_the_newest_leaves_none() -> None:
    order = SecretOrder(newest=fingerprint("0"))
    order.replace(fingerprint("0"))
    assert order.newest is None
    assert order.seen == {fingerprint("0")}


def test_replacing_another_leaves_the_newest() -> None:
    order = SecretOrder(newest=fingerprint("0"))
    order.replace(fingerprint("1"))
    assert order.newest == fingerprint("0")


def test_the_callers_set_is_left_alone() -> None:
    replaced = {fingerprint("0")}
    SecretOrder(replaced=replaced).replace(fingerprint("1"))
    assert replaced == {fingerprint("0")}


def test_stale_answers_are_read_again(api: FakeFeaturebase, clock: Clock) -> None:
    api.rotated()
    api.stale_until = clock.now + 2
    order = SecretOrder(replaced={fingerprint("0")})
    assert read(api, order) == fingerprint("1")
    assert clock.now == pytest.approx(1002)
    assert api.reads == 5


def test_patience_ends(api: FakeFeaturebase, clock: Clock) -> None:
    """A stale answer is never taken, however long Featurebase shows it; the error names it by fingerprint."""
    with pytest.raises(StaleRead, match=f"{WEBHOOK_ID}: for 30 s .*{fingerprint('0')}.*not written to any store"):
        read(api, SecretOrder(replaced={fingerprint("0")}))
    assert clock.now == pytest.approx(1030)


def test_without_patience_one_read_is_made(api: FakeFeaturebase) -> None:
    with pytest.raises(StaleRead):
        read(api, SecretOrder(replaced={fingerprint("0")}), patience=0)
    assert api.reads == 1


def test_api_errors_are_the_callers(api: FakeFeaturebase) -> None:
    api.read_script.append(api_unreachable())
    with pytest.raises(ApiError):
        read(api, SecretOrder())
