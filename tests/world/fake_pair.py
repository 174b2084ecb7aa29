"""Both halves of a pair in memory: Featurebase, two slots of a store, and the records, each misbehaving on request."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.featurebase.errors import WebhookNotFound
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.modes import Mode
from featurebase_provider.rotation.moves import Move, Moves, keep_move, pair_id
from featurebase_provider.rotation.pair_records import PairRecords
from featurebase_provider.rotation.plan import HalfBaseline, PairBaseline, RotationPlan
from tests.world.fakes import Clock, DictMemory, FakeFeaturebase, MemoryStore, a_memory, a_plan, api_unreachable
from tests.world.pair_states import A, B

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import Webhook

PREVIOUS_FOR = timedelta(hours=8)
PatchFault = Literal["lost_before", "lost_after"] | Exception | None


class FakePair:
    """Half A is live, half B paused; a store holds both secrets."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.halves = {
            A: FakeFeaturebase(self.clock, name="a", id=A, status="active"),
            B: FakeFeaturebase(self.clock, name="b", id=B, status="paused"),
        }
        self.gone: set[str] = set()
        self.patches: list[tuple[str, str]] = []
        self.patch_script: deque[PatchFault] = deque()
        """What becomes of the next changes of a status: lost before or after they took effect, an error, or nothing."""
        self.on_patch: Callable[[str, str], object] = lambda webhook_id, status: None
        """Called after a change took effect, such as for what a person does at that moment."""
        self.kept = DictMemory()
        self.store = MemoryStore(keeps_previous=True)
        self.store.value, self.store.previous = self.halves[A].secret, self.halves[B].secret

    def now(self) -> datetime:
        """Server time."""
        return self.clock.server_now()

    def get_webhook(self, webhook_id: str) -> Webhook:
        if webhook_id in self.gone:
            raise WebhookNotFound("GET", f"/v2/webhooks/{webhook_id}", 404)
        return self.halves[webhook_id].get_webhook(webhook_id)

    def update_webhook(self, webhook_id: str, *, status: Literal["active", "paused"]) -> Webhook:
        fault = self.patch_script.popleft() if self.patch_script else None
        if isinstance(fault, Exception):
            raise fault
        if fault == "lost_before":
            raise api_unreachable("PATCH")
        self.set(webhook_id, status)
        self.patches.append((webhook_id, status))
        self.on_patch(webhook_id, status)
        if fault == "lost_after":
            raise api_unreachable("PATCH")
        return self.halves[webhook_id].current

    def set(self, webhook_id: str, status: str) -> None:
        """Set a half's status, whoever does."""
        self.clock.sleep(1)
        self.halves[webhook_id].change(status=status, updated_at=self.now())

    def refresh(self, webhook_id: str) -> None:
        """A person refreshes a half's secret."""
        self.clock.sleep(1)
        self.halves[webhook_id].rotated()

    def refresh_standby(self) -> None:
        """A run refreshes half B, and writes its secret beside that of half A."""
        self.refresh(B)
        self.store.previous = self.halves[B].secret

    def delivered(self, webhook_id: str, code: int = 200, *, failures: int = 0) -> None:
        """Show the result of a delivery."""
        self.clock.sleep(1)
        at = self.now().isoformat()
        health = {"consecutive_failures": failures} if failures else {"last_success_at": at, "consecutive_failures": 0}
        half = self.halves[webhook_id].current
        shown = type(half).model_validate(
            {
                **half.model_dump(exclude={"secret", "health", "last_status"}),
                "secret": half.secret.reveal() if half.secret is not None else None,
                "last_status": {"code": code, "message": "", "timestamp": at},
                "health": health,
            }
        )
        self.halves[webhook_id].history.append(shown)

    @property
    def statuses(self) -> tuple[str, str]:
        """Of half A and half B."""
        return self.halves[A].current.status, self.halves[B].current.status

    @property
    def held(self) -> tuple[str | None, str | None]:
        """What the store holds."""
        return self.store.holds, self.store.holds_previous

    def secret(self, webhook_id: str) -> str:
        """A half's secret."""
        return self.halves[webhook_id].secret.reveal()

    def plan(self, *, mode: Mode = "rotate", moves_to: str = B, was_live: str = A, **changes: Any) -> RotationPlan:
        """A plan of what Featurebase shows now."""
        shown = {half: api.current for half, api in self.halves.items() if half not in self.gone}
        refreshes = moves_to if mode == "rotate" else None
        baseline = PairBaseline(
            {half: HalfBaseline.of(webhook) for half, webhook in shown.items()}, was_live, refreshes
        )
        return a_plan(shown[moves_to], mode=mode, pair=baseline, planned_at=self.now().isoformat(), **changes)

    def records(self) -> PairRecords:
        """The pair's records, read now."""
        halves = {half: a_memory(self.kept, half) for half in (A, B)}
        memory = a_memory(self.kept, pair_id((A, B)))
        histories = {half: History(half) for half in (A, B)}
        return PairRecords(memory, halves, histories, Moves.read(memory), "https://airflow.example", self.clock)

    def record(
        self, what: Literal["activated", "paused", "drained"], plan: RotationPlan, webhook_id: str, **move: Any
    ) -> None:
        """Record a step of this plan's run, taken now."""
        keep_move(self.records().memory, what, Move.of(plan, webhook_id, self.now().isoformat(), **move))
