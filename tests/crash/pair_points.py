"""The points of a pair's run: each change of a status, each write of a store and of the memory, and what waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.signed_event import ID_PREFIX
from tests.crash import points
from tests.crash.pair_world import PairCrashWorld
from tests.crash.points import Condition, Point, Script, Stage

if TYPE_CHECKING:
    from tests.crash.gate import When

ABOUT_TO = b'\\"done\\": false'
PROBE_ID = ID_PREFIX.encode()
DONE = b'\\"done\\": true'


def pair_in(stage: Stage) -> PairCrashWorld:
    """The lane's pair."""
    assert isinstance(stage.world, PairCrashWorld)
    return stage.world


def _new(world: PairCrashWorld) -> str:
    return world.webhook_id


def _old(world: PairCrashWorld) -> str:
    return world.other_id


def _change(half: Callable[[PairCrashWorld], str], **how: Any) -> Script:
    """A half's status is changed: held before it takes effect or after it."""

    def script(stage: Stage) -> Iterator[Condition]:
        yield stage.hold_call("PATCH", of=half(pair_in(stage)), **how)

    return script


def _changed(half: Callable[[PairCrashWorld], str]) -> Script:
    """The change was answered, and the half is read once more."""

    def script(stage: Stage) -> Iterator[Condition]:
        world, webhook_id = pair_in(stage), half(pair_in(stage))
        seen = len(world.calls("PATCH", of=webhook_id))

        def is_answered() -> bool:
            return any(call.status == 200 for call in world.calls("PATCH", of=webhook_id)[seen:])

        read = ("GET", world.path(of=webhook_id))
        hold = world.api_gate.hold(lambda method, path, _: (method, path) == read and is_answered())
        yield hold.is_reached

    return script


def _record(what: str, when: When, *, part: bytes = b"", of: Callable[[PairCrashWorld], str] | None = None) -> Script:
    """A record is written: held before it can be read or after that.

    :param of: the half that it is about; default: the pair.
    """

    def script(stage: Stage) -> Iterator[Condition]:
        world = pair_in(stage)
        name = world.record(what, of=of(world) if of is not None else None)
        yield stage.hold_record(name, when, part=part).is_reached

    return script


def _rotates_record(what: str, when: When, of: Callable[[PairCrashWorld], str]) -> Script:
    """A record of rotate, once the stores are written."""

    def script(stage: Stage) -> Iterator[Condition]:
        hold = stage.hold_record(pair_in(stage).record(what, of=of(pair_in(stage))), when)
        yield lambda: hold.is_reached() and stage.wrote("alpha", "beta")

    return script


def _fails(*, commit: bool) -> Script:
    """The receiver takes none of the new half's deliveries, so that one is paused again."""

    def script(stage: Stage) -> Iterator[Condition]:
        new = pair_in(stage).webhook_id.encode()
        stage.world.service.gate.fail(lambda _method, _path, body: new in body and PROBE_ID not in body)
        yield stage.hold_call("PATCH", commit=commit, after=1)  # it is set active first

    return script


def _watched(stage: Stage) -> Iterator[Condition]:
    """The triggerer watches both halves."""
    world = pair_in(stage)
    yield lambda: stage.state("cut_over") == "deferred"
    seen = len(world.calls("GET", of=world.other_id))
    yield lambda: len(world.calls("GET", of=world.other_id)) > seen and stage.state("cut_over") == "deferred"


def _point(name: str, task_id: str, script: Script, **how: Any) -> Point:
    return Point(name, task_id, script, strategy="overlap", **how)


PLAN = _point("plan, before it is recorded", "preflight", _record("plan_", "before"))
PLANNED = _point("plan, recorded", "preflight", _record("plan_", "after"))
NOT_COMMITTED = _point("refresh of the standby, sent, not committed", "rotate", points.NOT_COMMITTED.script)
NOT_ANSWERED = _point("refresh of the standby, committed, not answered", "rotate", points.NOT_ANSWERED.script)
FIRST_STORE = _point("answered, before the first store", "rotate", points.FIRST_STORE.script)
BETWEEN = _point("between two stores", "rotate", points.BETWEEN.script)
INSIDE = _point("inside a store write", "rotate", points.INSIDE.script)
HISTORY = _point("the standby's history, before it is recorded", "rotate", _rotates_record("history", "before", _new))
HISTORY_KEPT = _point("the standby's history, recorded", "rotate", _rotates_record("history", "after", _new))
OTHERS = _point("the live half's history, recorded", "rotate", _rotates_record("history", "after", _old))
PUSH = _point("push, before its write", "push.alpha", points.PUSH.script)
PUSH_INSIDE = _point("push, inside its write", "push.alpha", points.PUSH_INSIDE.script)
PROBE = _point("probe", "probe", points.PROBE.script)
ACTIVATED = _point("the moment of activation, before it is recorded", "activate", _record("activated", "before"))
ACTIVATED_KEPT = _point("the moment of activation, recorded", "activate", _record("activated", "after"))
SET_ACTIVE = _point("set active, sent, not committed", "activate", _change(_new))
SET_ACTIVE_LATE = _point(
    "set active, commits when the sender is dead", "activate", _change(_new, late=True), is_late=True
)
IS_ACTIVE = _point("set active, committed, not answered", "activate", _change(_new, commit=True))
SAW_ACTIVE = _point("set active, answered", "activate", _changed(_new))
ABOUT_TO_PAUSE = _point("pause, before it is recorded", "cut_over", _record("paused", "before", part=ABOUT_TO))
WILL_PAUSE = _point("pause, recorded as about to come", "cut_over", _record("paused", "after", part=ABOUT_TO))
SET_PAUSED = _point("pause, sent, not committed", "cut_over", _change(_old))
SET_PAUSED_LATE = _point("pause, commits when the sender is dead", "cut_over", _change(_old, late=True), is_late=True)
IS_PAUSED = _point("pause, committed, not answered", "cut_over", _change(_old, commit=True))
SAW_PAUSED = _point("pause, answered", "cut_over", _changed(_old))
PAUSED = _point("paused, before it is recorded as done", "cut_over", _record("paused", "before", part=DONE))
PAUSED_KEPT = _point("paused, recorded as done", "cut_over", _record("paused", "after", part=DONE))
WATCHED = _point("the triggerer watches the cut-over", "cut_over", _watched, quiet=True)
TAKE_BACK = _point("the new half fails: pause, sent, not committed", "cut_over", _fails(commit=False))
TAKEN_BACK = _point("the new half fails: pause, committed, not answered", "cut_over", _fails(commit=True))
DRAIN = _point("drain, inside a store write", "rotate", points.INSIDE.script, mode="distribute", refreshes=0)
DRAINED = _point(
    "drained, before it is recorded", "rotate", _record("drained", "before"), mode="distribute", refreshes=0
)
DRAINED_KEPT = _point("drained, recorded", "rotate", _record("drained", "after"), mode="distribute", refreshes=0)
REVERT_ACTIVE = _point(
    "revert: set active, committed, not answered", "activate", _change(_new, commit=True), mode="revert", refreshes=0
)
REVERT_PAUSED = _point(
    "revert: pause, committed, not answered", "cut_over", _change(_old, commit=True), mode="revert", refreshes=0
)
