"""The points at which a process dies: how each is prepared from outside, and what shows that it was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.crash.gate import Gate, GateHold, When
    from tests.crash.world import CrashWorld

Strategy = Literal["refresh", "overlap"]
Mode = Literal["rotate", "distribute", "revert"]
Way = Literal["task", "supervisor", "both", "triggerer", "scheduler", "machine", "nothing"]
"""What dies. ``both``: the task process and its supervisor; ``machine``: these and the scheduler."""
ORPHAN_STAYS: frozenset[Way] = frozenset({"supervisor", "nothing"})
Condition = Callable[[], bool]
Script = Callable[["Stage"], Iterator[Condition]]


@dataclass(frozen=True)
class Stage:
    """Where a point is played.

    :param way: which process dies; where an orphan stays, its call must be able to go on.
    :param state: the state of a task of the run.
    :param emergency: triggers an emergency rotation of the webhook; tells whether that has ended well.
    :param execution_gate: where workers call Airflow's API server; other lanes' do, too.
    """

    world: CrashWorld
    way: Way
    state: Callable[[str], str | None]
    emergency: Callable[[], Condition]
    execution_gate: Gate
    _held_there: list[GateHold] = field(default_factory=list)

    def hold_call(
        self, method: str, suffix: str = "", *, of: str = "", commit: bool = False, after: int = 0, late: bool = False
    ) -> Condition:
        """Hold a call of Featurebase's API; later ``after`` such calls have passed.

        :param of: the webhook's id; default: the one that the run is about.
        :param late: whether the call takes effect once it is let go, although its sender has died.
        :returns: whether the sandbox's journal shows the call, unanswered, and committed or not as asked for.
        """
        world = self.world
        kind = "latency" if commit or late or method == "GET" or self.way in ORPHAN_STAYS else "hang"
        fault = {"method": method, "path": world.path(suffix, of=of)}
        if after:
            world.control("POST", "/faults", kind="latency", seconds=0, count=after, **fault)
        how = {"seconds": 3600, "commit": commit} if kind == "latency" else {}
        world.control("POST", "/faults", kind=kind, **fault, **how)
        seen = len(world.calls(method, suffix, of=of))

        def reached() -> bool:
            new = world.calls(method, suffix, of=of)[seen + after :]
            return any(call.status is None and call.committed == commit for call in new) and not self._faults_wait()

        return reached

    def _faults_wait(self) -> bool:
        return bool(self.world.control("GET", "/faults"))

    def hold_put(self, store: str | None = None, *, after: bool = False, count: int = 1) -> GateHold:
        """Hold writes of a store (of any), before they take effect or after."""

        def matches(method: str, path: str, _: bytes) -> bool:
            return method == "PUT" and path == (f"/store/{store}" if store else path)

        return self.world.service.gate.hold(matches, "after" if after else "before", count=count)

    def hold_get(self, store: str) -> GateHold:
        """Hold the next read of a store."""
        return self.world.service.gate.hold(lambda method, path, _: (method, path) == ("GET", f"/store/{store}"))

    def hold_probe(self, *, count: int = 1) -> GateHold:
        """Stall the receiver at the next probe events."""
        return self.world.service.gate.hold(lambda _method, _path, body: b"notif_probe_" in body, count=count)

    def hold_record(self, name: str, when: When = "before", *, part: bytes = b"") -> GateHold:
        """Hold the writing of a record into Airflow's Variables.

        :param name: begins the record's name.
        :param part: of what is written.
        """

        def matches(method: str, path: str, body: bytes) -> bool:
            return method == "PUT" and path.startswith(f"/execution/variables/{name}") and part in body

        self._held_there.append(self.execution_gate.hold(matches, when))
        return self._held_there[-1]

    def wrote(self, *stores: str) -> bool:
        """Whether the stores hold what the run brings to them."""
        return all(self.world.has_written(store) for store in stores)

    def let_go(self) -> None:
        """Let every held call of the lane go on, and forget what was prepared."""
        self.world.let_go()
        for hold in self._held_there:
            self.execution_gate.drop(hold)
        self._held_there.clear()


@dataclass(frozen=True)
class Point:
    """A point of a rotation.

    :param name: in the words of the matrix.
    :param task_id: the task whose processes die.
    :param script: prepares the point. Yields conditions to wait for; the last one says that it is reached.
    :param quiet: whether events begin only afterwards.
    :param plain: whether it is played where all stores can be held, and no probe is configured.
    :param refreshes: how many there are, the one of an emergency included.
    :param is_late: whether the held call takes effect after its sender's death.
    :param mode: of the run. One that reverts follows another one.
    """

    name: str
    task_id: str
    script: Script
    quiet: bool = False
    plain: bool = False
    refreshes: int = 1
    is_late: bool = False
    strategy: Strategy = "refresh"
    mode: Mode = "rotate"


def _before_the_refresh(stage: Stage) -> Iterator[Condition]:
    probe = stage.hold_probe()  # preflight's
    yield probe.is_reached
    reached = stage.hold_call("GET")
    probe.release()
    yield reached


def _not_committed(stage: Stage) -> Iterator[Condition]:
    yield stage.hold_call("POST", "/secret")


def _late(stage: Stage) -> Iterator[Condition]:
    """Sent, and committed only when the sender is dead."""
    yield stage.hold_call("POST", "/secret", late=True)


def _not_answered(stage: Stage) -> Iterator[Condition]:
    yield stage.hold_call("POST", "/secret", commit=True)


def _before_the_first_store(stage: Stage) -> Iterator[Condition]:
    writes = [stage.hold_put("alpha"), stage.hold_put("beta")]
    answered = len(stage.world.calls("POST", "/secret"))
    yield (
        lambda: (
            all(write.is_reached() for write in writes)
            and [call.status for call in stage.world.calls("POST", "/secret")[answered:]] == [200]
        )
    )


def _between_stores(stage: Stage) -> Iterator[Condition]:
    write = stage.hold_put("alpha")
    yield lambda: write.is_reached() and stage.wrote("beta") and not stage.wrote("alpha")


def _inside_a_write(stage: Stage) -> Iterator[Condition]:
    write = stage.hold_put("alpha", after=True)
    yield lambda: write.is_reached() and stage.wrote("alpha")


def _before_the_result(stage: Stage) -> Iterator[Condition]:
    write = stage.hold_put("alpha")
    yield write.is_reached
    reached = stage.hold_call("GET")
    write.release()
    yield lambda: reached() and stage.wrote("alpha", "beta")


def _push(stage: Stage, *, after: bool) -> Iterator[Condition]:
    stage.world.service.gate.refuse("PUT", "/store/alpha")  # rotate's write
    write = stage.hold_put("alpha", after=after)
    yield lambda: write.is_reached() and stage.wrote("alpha") is after


def _push_before(stage: Stage) -> Iterator[Condition]:
    yield from _push(stage, after=False)


def _push_inside(stage: Stage) -> Iterator[Condition]:
    yield from _push(stage, after=True)


def _to_the_probe(stage: Stage, *, count: int) -> Iterator[Condition]:
    """Go through preflight's probe unhindered, and stop at the probe task's first event."""
    write = stage.hold_put("alpha")
    yield write.is_reached
    probe = stage.hold_probe(count=count)
    write.release()
    yield probe.is_reached


def _probe(stage: Stage) -> Iterator[Condition]:
    yield from _to_the_probe(stage, count=1000)


def _settle(stage: Stage, *, commit: bool) -> Iterator[Condition]:
    yield from _to_the_probe(stage, count=1)
    stage.world.pause_after_failure()
    reached = stage.hold_call("PATCH", commit=commit)
    stage.world.service.gate.open()
    yield reached


def _settle_before(stage: Stage) -> Iterator[Condition]:
    yield from _settle(stage, commit=False)


def _settle_after(stage: Stage) -> Iterator[Condition]:
    yield from _settle(stage, commit=True)


def _verify_start(stage: Stage) -> Iterator[Condition]:
    yield from _to_the_probe(stage, count=1)
    reached = stage.hold_call("GET", after=1)  # settle's comes first
    stage.world.service.gate.open()
    yield reached


def _waiting(stage: Stage) -> Iterator[Condition]:
    """The sensor waits in the triggerer, which has read the webhook."""
    yield lambda: stage.state("verify_delivery") == "deferred"
    seen = len(stage.world.calls("GET"))
    yield lambda: len(stage.world.calls("GET")) > seen and stage.state("verify_delivery") == "deferred"


def _rotated_by_hand(stage: Stage) -> Iterator[Condition]:
    """Somebody refreshes the secret between preflight and rotate."""
    probe = stage.hold_probe()  # preflight's
    yield probe.is_reached
    before = stage.world.fingerprint
    stage.world.api("POST", stage.world.path("/secret"))
    probe.release()
    yield lambda: stage.world.fingerprint != before


def _emergency(stage: Stage) -> Iterator[Condition]:
    """A whole emergency rotation while rotate is between its refresh and its write."""
    write = stage.hold_put("alpha")
    yield write.is_reached
    ended = stage.emergency()
    yield lambda: ended() and write.is_reached() and stage.wrote("alpha", "beta")


def _verify_compare(stage: Stage) -> Iterator[Condition]:
    yield lambda: stage.state("verify_delivery") == "deferred"
    read = stage.hold_get("alpha")
    stage.world.emit()
    yield read.is_reached


BEFORE = Point("before the refresh is sent", "rotate", _before_the_refresh)
NOT_COMMITTED = Point("sent, not committed", "rotate", _not_committed, plain=True)
LATE = Point("sent, commits when the sender is dead", "rotate", _late, plain=True, is_late=True)
NOT_ANSWERED = Point("committed, not answered", "rotate", _not_answered, plain=True)
FIRST_STORE = Point("answered, before the first store", "rotate", _before_the_first_store, plain=True)
BETWEEN = Point("between two stores", "rotate", _between_stores)
INSIDE = Point("inside a store write", "rotate", _inside_a_write, plain=True)
RESULT = Point("after the last store, before the result", "rotate", _before_the_result, plain=True)
PUSH = Point("push, before its write", "push.alpha", _push_before, plain=True)
PUSH_INSIDE = Point("push, inside its write", "push.alpha", _push_inside, plain=True)
PROBE = Point("probe", "probe", _probe)
SETTLE = Point("settle, before the webhook is active", "settle", _settle_before, quiet=True)
SETTLE_AFTER = Point("settle, after the webhook is active", "settle", _settle_after, quiet=True)
VERIFY = Point("verify, before it waits", "verify_delivery", _verify_start)
COMPARE = Point("verify, in its last comparison", "verify_delivery", _verify_compare, quiet=True)
WAITING = Point("the sensor waits", "verify_delivery", _waiting, quiet=True)
BY_HAND = Point("rotated by hand between preflight and rotate", "rotate", _rotated_by_hand)
EMERGENCY = Point("a whole emergency rotation, between refresh and write", "rotate", _emergency, refreshes=2)
