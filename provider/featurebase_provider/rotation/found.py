"""What preflight found, which the report shows whether or not there was a plan. Holds no secret."""

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
    :param fingerprint: of the value that it held; it may be somebody else's.
    :param said: its proof that it can be written, or why a rotation could not write it.
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
    """What was found before anything was changed.

    :param webhook_id: 24 hex digits.
    :param host: base URL of the Featurebase API.
    :param status: the webhook's status.
    :param current: fingerprint of Featurebase's secret, or None where it showed none.
    :param stores: None where they were not looked at.
    :param probe: ``result`` and ``detail`` of the probe with the current secret, or None where none was made.
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
        stores = [asdict(one) for one in self.stores] if self.stores is not None else None
        return {**asdict(self), "stores": stores}

    def with_stores(self, checks: Iterable[StoreCheck]) -> Found:
        """The same with what the stores showed."""
        return replace(self, stores=tuple(_found(check) for check in checks))

    def with_probe(self, outcome: ProbeOutcome) -> Found:
        """The same with what the probe showed."""
        return replace(self, probe={"result": outcome.result, "detail": outcome.detail})

    @property
    def behind(self) -> tuple[FoundStore, ...]:
        """Stores that hold another secret than Featurebase, and that ``mode=distribute`` brings up to date."""
        return tuple(one for one in self.stores or () if one.holding == "differs" and one.ready)

    @property
    def behind_said(self) -> str | None:
        """That stores hold another secret, and what helps; None where none does."""
        if not self.behind:
            return None
        stores = "; ".join(f"{one.label} ({one.target}) holds {one.fingerprint}" for one in self.behind)
        return (
            f"Stores hold another secret than Featurebase's current one ({self.current}): {stores}. Receivers that "
            "read them refuse deliveries. Trigger the Dag with mode=distribute: it brings the stores up to date and "
            "refreshes nothing"
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
