"""A lane with a pair of webhooks: its stores keep two secrets, and its receiver accepts both."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from featurebase_provider.rotation.memory import WebhookMemory
from featurebase_provider.rotation.moves import pair_id
from tests.crash.gate import Gate
from tests.crash.service import CrashService
from tests.crash.world import STORES, CrashWorld
from tests.world.fakes import DictMemory
from tests.world.pair_judge import PairJudge

if TYPE_CHECKING:
    from pathlib import Path

    from featurebase_provider.sandbox.journal import Event
    from featurebase_provider.sandbox.webhooks import Webhook
    from tests.crash.points import Mode, Strategy

LONGER_THAN_PREVIOUS_FOR = timedelta(hours=9)


class PairCrashWorld(CrashWorld):
    """A context manager. ``webhook_id`` is the half to which a run moves the deliveries, ``other_id`` the other one."""

    strategy: ClassVar[Strategy] = "overlap"
    timeout_ms: ClassVar[int] = 20_000  # on a busy machine a slow answer must not look like a refusal

    def __init__(self, folder: Path, name: str, *, retries: int = 3) -> None:
        super().__init__(folder, name, plain=True, retries=retries)
        self.other_id = ""
        self.api_gate = Gate()
        self.judge = PairJudge(self)

    def __enter__(self) -> PairCrashWorld:
        self.sandbox.app.add_middleware(lambda inner: self.api_gate.around(inner))
        super().__enter__()
        standby = self.create_webhook()["id"]
        self.set_status(standby, "paused")
        self.other_id, self.webhook_id = self.webhook_id, standby
        self.judge.watch(self.sandbox.state.webhooks)
        self.service.on_change = lambda: self.judge.look(by_us=not self.judge.is_by_hand)
        return self

    def make_service(self, folder: Path) -> CrashService:
        """Stores that keep two secrets; the receiver follows Featurebase's clock."""
        return CrashService(folder, accepts_previous=True, now=lambda: self.sandbox.state.clock.unix())

    def start_anew(self, mode: Mode) -> None:
        """Bring everything to where a run of this mode begins, as persons and time do.

        A run that reverts begins where another one has ended. The others begin long after that: the stores hold the
        live half's secret alone, or for ``distribute`` still both.
        """
        self.judge.is_by_hand = True
        live, standby = self._live_first()
        self.other_id, self.webhook_id = live.id, standby.id
        if mode != "revert":
            self.control("POST", "/clock", advance=LONGER_THAN_PREVIOUS_FOR.total_seconds())
            for half, status in ((live.id, "active"), (standby.id, "paused")):
                if self.statuses[half] != status:
                    self.set_status(half, status)
            for store in STORES:
                slots = (live.secret, None) if mode == "rotate" else (standby.secret, live.secret)
                self.service.put(store, *slots)
        if mode == "distribute":
            self.other_id, self.webhook_id = standby.id, live.id
        self.judge.is_by_hand = False
        self.judge.begin()

    def _live_first(self) -> tuple[Webhook, Webhook]:
        first, second = self.webhook(self.other_id), self.webhook(self.webhook_id)
        return (second, first) if second.status == "active" and first.status != "active" else (first, second)

    def webhook(self, half: str) -> Webhook:
        """A half."""
        found = self.sandbox.state.webhooks.find(half)
        assert found is not None
        return found

    def set_status(self, half: str, status: str) -> None:
        """Set a half active or paused, as a person does."""
        self.api("PATCH", self.path(of=half), json={"status": status})

    @property
    def ids(self) -> tuple[str, str]:
        """Both halves, always in the same order."""
        first, second = sorted((self.webhook_id, self.other_id))
        return first, second

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each half."""
        return {half: self.webhook(half).status for half in self.ids}

    @property
    def slots(self) -> tuple[tuple[str | None, str | None], ...]:
        """What each store holds now: the current and the previous secret."""
        return tuple(self.service.slots(store) for store in STORES)

    def name_of(self, half: str) -> str:
        """Names a half in messages."""
        return f"{half} (to which the deliveries move)" if half == self.webhook_id else half

    def refreshes(self) -> int:
        """How many refreshes of either half took effect."""
        return sum(call.committed for half in self.ids for call in self.calls("POST", "/secret", of=half))

    def changes(self) -> int:
        """How many changes of a half's status took effect."""
        return sum(call.committed for half in self.ids for call in self.calls("PATCH", of=half))

    def has_written(self, store: str) -> bool:
        """Whether a store holds the secret of the half that the run is about, and of the other one while it is kept."""
        return self.secret in self.service.slots(store)

    def let_go(self) -> None:
        """Let every held call go on, and forget what was prepared."""
        self.api_gate.open()
        super().let_go()

    def counted(self, events: list[Event]) -> tuple[int, int]:
        """What happened, and of how much of it the receiver has accepted the event of either half."""
        happened = {event.emission for event in events if event.webhook_id is not None}
        return len(happened), len({event.emission for event in events if event.delivered})

    def record(self, what: str, *, of: str | None = None) -> str:
        """The name of a record in Airflow's Variables.

        :param of: a half's id; default: the pair.
        """
        return WebhookMemory(DictMemory(), self.sandbox.url, of or pair_id(self.ids)).prefix + what

    def entry(self) -> dict[str, Any]:
        """The pair's entry in the rotation file."""
        entry = super().entry()
        del entry["webhook_id"]
        return {
            **entry,
            "strategy": self.strategy,
            "webhook_ids": list(self.ids),
            "probe": {"timeout": "PT120S", "interval": "PT0.1S", "steady": "PT0S"},
            "overlap": {"first_delivery": "PT2M", "pending": "PT2M"},
        }
