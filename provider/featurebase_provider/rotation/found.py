"""What preflight found. The report shows it even if preflight made no plan. Holds no secret."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read_record resolves it
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.records import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.check import StoreCheck
    from featurebase_provider.rotation.probe import ProbeOutcome


@dataclass(frozen=True, slots=True)
class FoundStore:
    """What a store held, and whether it could be written.

    :param holding: see :class:`~featurebase_provider.rotation.check.StoreCheck`.
    :param fingerprint: fingerprint of the value that it held, which may be somebody else's.
    :param said: how it was shown that the store can be written, or why a rotation could not write it.
    :param ready: whether a rotation could write it.
    """

    label: str
    target: str
    holding: str
    fingerprint: str | None = None
    said: str = ""
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What preflight found before anything was changed.

    :param webhook_id: 24 hex digits.
    :param host: base URL of the Featurebase API.
    :param status: the webhook's status.
    :param current: fingerprint of Featurebase's secret, or None if the response had none.
    :param stores: the stores, or None if they were not checked.
    :param probe: ``result`` and ``detail`` of the probe with the current secret, or None if there was none.
    """

    webhook_id: str
    host: str
    status: str
    current: str | None = None
    stores: tuple[FoundStore, ...] | None = None
    probe: Mapping[str, str] | None = None

    @classmethod
    def of(cls, webhook: Webhook, host: str) -> Found:
        """Begin with the webhook."""
        return cls(webhook.id, host, one_line(webhook.status, 20), webhook.fingerprint)

    @classmethod
    def from_json(cls, raw: object) -> Found | None:
        """Read it back from :meth:`as_json`; None for anything else."""
        return read_record(cls, raw)

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        stores = [asdict(store) for store in self.stores] if self.stores is not None else None
        return {**asdict(self), "stores": stores}

    def with_stores(self, checks: Iterable[StoreCheck]) -> Found:
        """The same with what the stores showed."""
        return replace(self, stores=tuple(_found(check) for check in checks))

    def with_probe(self, outcome: ProbeOutcome) -> Found:
        """The same with what the probe showed."""
        return replace(self, probe={"result": outcome.result, "detail": outcome.detail})

    @property
    def behind(self) -> tuple[FoundStore, ...]:
        """Stores that hold another secret than Featurebase, and that ``mode=distribute`` would update."""
        return tuple(store for store in self.stores or () if store.holding == "differs" and store.ready)

    @property
    def behind_said(self) -> str | None:
        """A message about stores that hold another secret, and what to do; None if there are none."""
        if not self.behind:
            return None
        stores = "; ".join(f"{store.label} ({store.target}) holds {store.fingerprint}" for store in self.behind)
        return (
            f"Some stores hold another secret than Featurebase's current one ({self.current}): {stores}. Receivers "
            "that read them refuse deliveries. Trigger the Dag with mode=distribute: it updates the stores without "
            "refreshing"
        )


def _found(check: StoreCheck) -> FoundStore:
    if check.problem is not None:
        said = str(check.problem)
    elif check.writability is not None:
        verdict = "writable" if check.writability.proven else "reachable, not provable"
        said = f"{verdict} ({check.writability.detail})"
        if check.writability.warning:
            said = f"{check.writability.warning}; {said}"
    else:
        said = ""
    return FoundStore(
        check.label, check.target, check.holding, check.fingerprint, one_line(said, 500), check.problem is None
    )
