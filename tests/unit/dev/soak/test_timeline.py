"""The soak's judge of each moment: what it calls broken, and what a person's doing, must be so."""

from __future__ import annotations

from typing import Any

from dev.soak.timeline import RACE_MS, Change, Timeline, Written, changes_of
from featurebase_provider.featurebase.signing_secret import fingerprint_of

A, B = "507f1f77bcf86cd799439011", "507f1f77bcf86cd799439012"
OLD, FIRST, NEW, OTHER = "sha256:1", "sha256:2", "sha256:3", "sha256:9"
LONG = 10 * RACE_MS


class Story:
    """A pair as it is at first: half A is active, half B paused, and the store holds A's secret."""

    def __init__(self) -> None:
        self._state = {A: ("active", OLD), B: ("paused", FIRST)}
        self.changes = [
            Change(0, A, True, "active", OLD),
            Change(1, B, True, "active", FIRST),
            Change(2, B, True, "paused", FIRST, ("active", FIRST)),
        ]
        self.writes = [Written(0, 0, (OLD, None))]
        self.now = LONG

    def change(self, half: str, *, by_hand: bool = False, **changes: str) -> Story:
        was = self._state[half]
        status, fingerprint = changes.get("status", was[0]), changes.get("fingerprint", was[1])
        self._state[half] = status, fingerprint
        self.now += 100
        self.changes.append(Change(self.now, half, by_hand, status, fingerprint, was))
        return self

    def write(self, current: str, previous: str | None) -> Story:
        self.writes.append(Written(self.now + 50, self.now + 100, (current, previous)))
        self.now += 100
        return self

    def wait(self) -> Story:
        self.now += LONG
        return self

    def judged(self) -> Timeline:
        return Timeline((A, B), self.changes, self.writes).judge()


def rotated() -> Story:
    """As it must be: refresh, write, activate, pause."""
    story = Story().change(B, fingerprint=NEW).write(OLD, NEW)
    return story.change(B, status="active").change(A, status="paused")


def test_a_rotation_and_a_drain_are_fine() -> None:
    found = rotated().wait().write(NEW, NEW).write(NEW, None).judged()
    assert (found.broken, found.theirs & {OLD, NEW}) == ([], set())


def test_a_half_that_is_set_active_before_the_store_holds_its_secret() -> None:
    (broken,) = Story().change(B, fingerprint=NEW).change(B, status="active").write(OLD, NEW).judged().broken
    assert f"lacked the secret {NEW} of the active {B}" in broken


def test_a_write_that_drops_the_secret_of_an_active_half() -> None:
    """Even if the next write mends it."""
    (broken,) = Story().change(B, fingerprint=NEW).write(NEW, None).write(NEW, OLD).judged().broken
    assert f"lacked the secret {OLD}" in broken


def test_a_write_that_is_under_way_may_have_happened() -> None:
    story = Story().change(B, fingerprint=NEW)
    story.writes.append(Written(story.now + 50, story.now + 500, (OLD, NEW)))
    assert story.change(B, status="active").judged().broken == []


def test_a_run_that_leaves_none_active() -> None:
    (broken,) = Story().change(A, status="paused").judged().broken
    assert "left no webhook of the pair active" in broken
    assert Story().change(A, by_hand=True, status="paused").judged().broken == []


def test_a_store_that_is_given_a_secret_of_neither_half() -> None:
    (broken,) = Story().write(OLD, OTHER).judged().broken
    assert f"was given {OTHER}" in broken
    (broken,) = Story().change(B, fingerprint=NEW).wait().write(OLD, FIRST).judged().broken
    assert f"was given {FIRST}" in broken, "it was replaced long ago"


def test_a_persons_refresh_of_the_live_half_is_theirs_until_it_is_mended() -> None:
    found = Story().change(A, by_hand=True, fingerprint=NEW).wait().write(NEW, None).judged()
    assert found.broken == []
    assert {OLD, NEW} <= found.theirs
    mended = Story().change(A, by_hand=True, fingerprint=NEW).write(NEW, None).wait()
    assert any(
        f"lacked the secret {NEW}" in one for one in mended.write(OLD, None).wait().write(OLD, OLD).judged().broken
    )


def test_a_persons_activation_is_theirs_only_if_the_store_lacks_the_secret() -> None:
    assert FIRST in Story().change(B, by_hand=True, status="active").judged().theirs
    story = Story().change(B, fingerprint=NEW).write(OLD, NEW).change(B, by_hand=True, status="active")
    assert NEW not in story.judged().theirs


def test_the_log_tells_who_did_what() -> None:
    def entry(agent: str, before: dict[str, Any] | None, **after: Any) -> dict[str, Any]:
        return {
            "createdAt": "1970-01-01T00:00:01.500Z",
            "resource": {"id": A},
            "request": {"userAgent": agent},
            "metadata": {"before": before, "after": {"status": "active", "secret": "whsec_1", **after}},
        }

    first = {"status": "active", "secret": "whsec_1"}
    made, ours, theirs = changes_of(
        [
            entry("python-httpx/1", None),
            entry("airflow-provider-featurebase/1", first, secret="whsec_2"),
            entry("python-httpx/1", first, status="paused"),
        ]
    )
    assert (made.at, made.by_hand, made.was, made.refreshed) == (1500, True, None, False)
    assert (ours.by_hand, ours.refreshed, ours.fingerprint) == (False, True, fingerprint_of("whsec_2"))
    assert (theirs.by_hand, theirs.paused, theirs.refreshed, theirs.activated) == (True, True, False, False)
