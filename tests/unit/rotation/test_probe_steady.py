"""Replicas behind a balancer, one of them with the old secret: how long, and how often, the probe has to be accepted.

The balancer picks at random, so what is claimed is a figure over many runs; their seeds are fixed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.probe import STEADY_EVENTS, WRONG_KEY_TRIES, Probe, ProbeOutcome
from tests.world.fakes import Clock, a_webhook, secret

OLD, NEW = secret("0"), secret("1")
Pick = Callable[[], int]


class Replicas:
    """Receivers behind one address, each of which verifies with its own secret; None verifies nothing.

    :param pick: which of them gets the next event.
    :param latency: seconds until an answer comes.
    """

    def __init__(self, clock: Clock, held: list[SigningSecret | None], pick: Pick, *, latency: float = 0.0) -> None:
        self.clock, self.held, self.pick, self.latency = clock, held, pick, latency
        self.refuses = 401
        self.sent_at: list[float] = []
        self.rights = self.wrongs = 0
        self.on_wrong_key: Callable[[int], httpx.Response | None] = lambda count: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent_at.append(self.clock.now)
        self.clock.sleep(self.latency)
        body, headers = request.read(), request.headers
        signed = {one: sign(one, int(headers[TIMESTAMP_HEADER]), body) for one in (OLD, NEW)}
        if headers[SIGNATURE_HEADER] not in signed.values():
            self.wrongs += 1
            answer = self.on_wrong_key(self.wrongs)
            if answer is not None:
                return answer
        else:
            self.rights += 1
        held = self.held[self.pick()]
        if held is None or headers[SIGNATURE_HEADER] == signed[held]:
            return httpx.Response(204)
        return httpx.Response(self.refuses)


def at_random(seed: int, count: int) -> Pick:
    rng = random.Random(seed)
    return lambda: rng.randrange(count)


def in_turn(count: int) -> Pick:
    turns = iter(range(10**9))
    return lambda: next(turns) % count


def probing(replicas: Replicas, **facts: Any) -> ProbeOutcome:
    """Probe with the defaults of the rotation file, unless told otherwise."""
    clock = replicas.clock
    probe = Probe(
        a_webhook("whsec_1"),
        transport=httpx.MockTransport(replicas),
        resolve=lambda host, port: ["203.0.113.7"],
        clock=clock,
        **facts,
    )
    return probe.run(NEW)


def passes_wrongly(replicas: int, runs: int, **facts: Any) -> int:
    """In how many of so many runs the probe passes although one replica holds the old secret to the end."""
    wrong = 0
    for seed in range(1000, 1000 + runs):
        held: list[SigningSecret | None] = [OLD, *[NEW] * (replicas - 1)]
        wrong += probing(Replicas(Clock(), held, at_random(seed, replicas)), **facts).passed
    return wrong


def test_steady_receiver_is_watched_for_the_whole_time(clock: Clock) -> None:
    """51 events in 10 seconds, then the one with a wrong key."""
    replicas = Replicas(clock, [NEW], in_turn(1))
    outcome = probing(replicas)
    assert (outcome.result, outcome.accepted, outcome.attempts) == ("accepted", replicas.rights, replicas.rights)
    assert replicas.rights in (STEADY_EVENTS + 1, STEADY_EVENTS + 2)
    assert replicas.wrongs == 1
    assert clock.now == pytest.approx(1010.0, abs=0.3)
    assert "accepted by 'receiver.example', and none refused for the last 10 s" in outcome.detail


def test_the_steady_time_can_be_longer_or_shorter_and_the_events_follow(clock: Clock) -> None:
    replicas = Replicas(clock, [NEW], in_turn(1))
    assert probing(replicas, steady=30.0).passed
    assert clock.now == pytest.approx(1030.0, abs=0.7)
    assert replicas.rights in (51, 52)


def test_the_events_come_no_slower_than_the_interval(clock: Clock) -> None:
    """A long steady time sends more events than the usual ones."""
    replicas = Replicas(clock, [NEW], in_turn(1))
    assert probing(replicas, steady=500.0, interval=2.0).passed
    assert replicas.rights in (251, 252)


@pytest.mark.parametrize(("latency", "events"), [(0.15, 51), (1.0, 10)])
def test_the_time_of_an_answer_belongs_to_the_time_between_two_events(
    clock: Clock, latency: float, events: int
) -> None:
    replicas = Replicas(clock, [NEW], in_turn(1), latency=latency)
    assert probing(replicas).passed
    assert abs(replicas.rights - events) <= 1


def test_a_slow_receiver_is_asked_often_enough(clock: Clock) -> None:
    """In 10 seconds it answers twice; three acceptances are needed all the same."""
    replicas = Replicas(clock, [NEW], in_turn(1), latency=6.0)
    outcome = probing(replicas, successes=3)
    assert (outcome.passed, outcome.accepted) == (True, 3)


def test_a_refusal_starts_it_anew(clock: Clock) -> None:
    """Exposure ends with the first acceptance after the last refusal: until then deliveries could fail."""
    replicas = Replicas(clock, [NEW], in_turn(1))
    clock.at(5.0, lambda: replicas.held.__setitem__(0, OLD))
    clock.at(9.0, lambda: replicas.held.__setitem__(0, NEW))
    outcome = probing(replicas)
    assert outcome.passed
    assert outcome.first_accepted is not None
    assert 1009.0 <= outcome.first_accepted.monotonic <= 1011.0
    assert outcome.first_accepted.wall == pytest.approx(clock.wall() - clock.now + outcome.first_accepted.monotonic)


def test_after_a_refusal_it_watches_longer_than_before_it(clock: Clock) -> None:
    """8 seconds without a refusal were followed by one: so 10 seconds show little, and it watches three times 8."""
    replicas = Replicas(clock, [NEW], in_turn(1))
    clock.at(8.05, lambda: replicas.held.__setitem__(0, OLD))
    clock.at(8.3, lambda: replicas.held.__setitem__(0, NEW))
    outcome = probing(replicas)
    assert outcome.passed
    assert outcome.first_accepted is not None
    lasted = clock.now - outcome.first_accepted.monotonic
    assert lasted == pytest.approx(3 * 8.2, abs=0.7)


def test_when_the_time_is_over_the_steady_time_is_enough(clock: Clock) -> None:
    """Nothing extends the probe beyond timeout plus steady."""
    replicas = Replicas(clock, [NEW], in_turn(1))
    clock.at(8.05, lambda: replicas.held.__setitem__(0, OLD))
    clock.at(8.3, lambda: replicas.held.__setitem__(0, NEW))
    assert probing(replicas, timeout=12.0).passed
    assert clock.now <= 1000 + 12.0 + 10.0


@pytest.mark.parametrize(("timeout", "ends"), [(1000.0, 44 + 3 * 42), (144.0, 44 + 100), (145.0, 44 + 102)])
def test_it_ends_with_the_event_that_is_enough(clock: Clock, timeout: float, ends: float) -> None:
    """Events every 2 seconds, one refused after 42: then 100 are enough once the time is over, and else 3 times 42."""
    replicas = Replicas(clock, [NEW], in_turn(1))
    clock.at(41.0, lambda: replicas.held.__setitem__(0, OLD))
    clock.at(43.0, lambda: replicas.held.__setitem__(0, NEW))
    assert probing(replicas, timeout=timeout, steady=100.0).passed
    assert clock.now == 1000 + ends


def test_a_refusal_after_the_timeout_ends_it(clock: Clock) -> None:
    replicas = Replicas(clock, [OLD], in_turn(1))
    clock.at(50.0, lambda: replicas.held.__setitem__(0, NEW))
    clock.at(61.0, lambda: replicas.held.__setitem__(0, OLD))
    outcome = probing(replicas, timeout=60.0, steady=20.0)
    assert (outcome.result, outcome.first_accepted) == ("refused", None)
    assert "accepts some events and not others" in outcome.detail
    assert "in 61 s" in outcome.detail


def test_replicas_that_load_the_secret_one_after_the_other(clock: Clock) -> None:
    """A rolling restart of ten, one each 3 seconds: it passes once the last is done, and not before."""
    replicas = Replicas(clock, [OLD] * 10, at_random(7, 10))
    for number in range(10):
        clock.at(3.0 * (number + 1), lambda number=number: replicas.held.__setitem__(number, NEW))
    outcome = probing(replicas)
    assert outcome.passed
    assert outcome.first_accepted is not None
    assert outcome.first_accepted.monotonic >= 1027.0
    assert clock.now >= 1037.0


def test_one_old_replica_of_two_never_passes() -> None:
    assert passes_wrongly(2, 12) == 0


def test_one_old_replica_of_ten_seldom_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected are 6 of 100 in ten minutes; without watching longer after a refusal it is every second one."""
    assert passes_wrongly(10, 12) <= 2
    monkeypatch.setattr("featurebase_provider.rotation.probe.WARY", 0)
    assert passes_wrongly(10, 12) >= 4


def test_three_acceptances_alone_tell_nothing() -> None:
    """Why there is a steady time: this is what three in a row are worth with one of two."""
    assert passes_wrongly(2, 50, steady=0.0) == 50


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 429, 300, 302, 308])
def test_what_is_no_refusal_of_a_wrong_key_proves_nothing(clock: Clock, status: int) -> None:
    """A receiver that verifies nothing answers so, too: when it is busy, or broken, or sends everybody elsewhere."""
    replicas = Replicas(clock, [None], in_turn(1))
    replicas.on_wrong_key = lambda count: httpx.Response(status)
    outcome = probing(replicas)
    assert (outcome.result, outcome.passed, replicas.wrongs) == ("unproven", False, WRONG_KEY_TRIES)
    assert f"were not refused (in the end it answered {status})" in outcome.detail
    assert "401" in outcome.detail
    assert clock.now == pytest.approx(1010 + (WRONG_KEY_TRIES - 1) * 2.0, abs=0.3)
    assert outcome.first_accepted is not None
    error = outcome.failure("5" * 24, "x")
    assert (error.webhook_id, error.kind, error.retry_helps) == ("5" * 24, "unproven", True)


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.ReadError("reset"), httpx.ConnectError("down")])
def test_no_answer_to_a_wrong_key_proves_nothing(clock: Clock, error: Exception) -> None:
    def fail(count: int) -> httpx.Response | None:
        raise error

    replicas = Replicas(clock, [None], in_turn(1))
    replicas.on_wrong_key = fail
    outcome = probing(replicas)
    assert (outcome.result, replicas.wrongs) == ("unproven", WRONG_KEY_TRIES)
    assert type(error).__name__ in outcome.detail


@pytest.mark.parametrize(
    ("held", "result"), [(NEW, "accepted"), (None, "verifies_nothing")], ids=["verifies", "verifies nothing"]
)
def test_a_hiccup_at_the_wrong_key_is_passed_over(clock: Clock, held: SigningSecret | None, result: str) -> None:
    """The next event tells."""
    replicas = Replicas(clock, [held], in_turn(1))
    replicas.on_wrong_key = lambda count: httpx.Response(503) if count < 3 else None
    before = probing(Replicas(Clock(), [held], in_turn(1)))
    outcome = probing(replicas)
    assert (outcome.result, before.result, replicas.wrongs) == (result, result, 3)
    assert clock.now == pytest.approx(1010 + 2 * 2.0, abs=0.3)


@pytest.mark.parametrize("status", [200, 203, 206, 226])
def test_a_wrong_key_that_is_taken_in_any_way_shows_that_nothing_is_verified(clock: Clock, status: int) -> None:
    """Featurebase counts 203 as a failed delivery, and still it is no refusal."""
    replicas = Replicas(clock, [NEW], in_turn(1))
    replicas.on_wrong_key = lambda count: httpx.Response(status)
    outcome = probing(replicas)
    assert (outcome.result, outcome.passed, replicas.wrongs) == ("verifies_nothing", False, 1)
    assert not outcome.failure("5" * 24, "x").retry_helps


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_4xx_refuses_a_wrong_key(clock: Clock, status: int) -> None:
    replicas = Replicas(clock, [NEW], in_turn(1))
    replicas.refuses = status
    outcome = probing(replicas)
    assert (outcome.result, replicas.wrongs) == ("accepted", 1)
    assert f"one signed with a wrong key was refused (it answered {status})" in outcome.detail


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_receiver_that_cannot_serve_is_tried_again_by_airflow(clock: Clock, status: int) -> None:
    replicas = Replicas(clock, [OLD], in_turn(1))
    replicas.refuses = status
    outcome = probing(replicas, timeout=10.0)
    assert (outcome.result, outcome.failure("5" * 24, "x").retry_helps) == ("unreachable", True)
    assert f"the receiver 'receiver.example' fails: it answered {status}" in outcome.detail


def test_replicas_that_do_not_all_serve_are_tried_again_by_airflow(clock: Clock) -> None:
    replicas = Replicas(clock, [OLD, NEW], in_turn(2))
    replicas.refuses = 503
    outcome = probing(replicas, timeout=10.0)
    assert (outcome.result, outcome.accepted) == ("unreachable", 4)
    assert outcome.failure("5" * 24, "x").retry_helps
    assert "some of its replicas have not loaded this secret, or are not serving" in outcome.detail.lower()


def test_a_receiver_that_refuses_is_not_tried_again(clock: Clock) -> None:
    outcome = probing(Replicas(clock, [OLD], in_turn(1)), timeout=10.0)
    error = outcome.failure("5" * 24, f"{outcome.detail}. Mend it")
    assert (error.kind, error.retry_helps) == ("refused", False)
    assert "the receiver 'receiver.example' refuses the signature" in str(error)
