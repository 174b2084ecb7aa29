"""Both webhooks of a pair as ``check-stores`` shows them, and which store holds whose secret. Holds no secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.models import PAUSED
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.errors import HALF_DELETED
from featurebase_provider.rotation.pair import differences
from featurebase_provider.rotation.two_secrets import PairFingerprints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.rotation.check import StoreCheck
    from featurebase_provider.rotation.pair import Pair


@dataclass(frozen=True, slots=True)
class CheckedHalf:
    """One webhook of a pair.

    :param status: its status; ``gone`` if it no longer exists.
    """

    webhook_id: str
    status: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """Both webhooks of a pair.

    :param halves: in the order of the rotation file.
    :param secrets: what stores must hold.
    :param problems: what is wrong with the webhooks themselves, each with what to do.
    """

    halves: tuple[CheckedHalf, ...]
    secrets: PairFingerprints
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, pair: Pair) -> CheckedPair:
        """Take it from what Featurebase shows."""
        halves = tuple(
            CheckedHalf(half_id, "gone")
            if (shown := pair.get(half_id)) is None
            else CheckedHalf(half_id, one_line(shown.status, 20), shown.fingerprint)
            for half_id in pair.ids
        )
        return cls(halves, PairFingerprints.of(pair.webhooks), tuple(_problems(pair)))

    def slots(self, store: StoreCheck) -> dict[str, str | None]:
        """Which half's secret a store holds in each place; None for a place that holds neither's."""
        by_secret = {fingerprint: half for half, fingerprint in self.secrets.shown.items()}
        held = {"current": store.fingerprint, "previous": store.previous}
        return {slot: by_secret.get(fingerprint or "") for slot, fingerprint in held.items()}

    def difference(self, store: StoreCheck) -> str:
        """What is wrong with a store that lacks a secret, or holds an old one."""
        held = (store.fingerprint, store.previous)
        lacking = [f"the secret of webhook {half} ({self.secrets.shown[half]})" for half in self.secrets.lacking(*held)]
        holds = " and ".join(dict.fromkeys(filter(None, held)))
        if lacking:
            return (
                f"it holds {holds}, but not {' and '.join(lacking)}, so receivers that read it reject deliveries of "
                "that webhook while it is active"
            )
        return f"it holds {' and '.join(self.secrets.stale(*held))}, which is no longer the secret of either webhook"


def _problems(pair: Pair) -> Iterator[str]:
    for half_id in pair.ids:
        if pair.get(half_id) is None:
            yield (
                f"webhook {half_id} of the pair does not exist in Featurebase, so no rotation of the pair starts. "
                f"Correct webhook_ids; or if it was deleted, {HALF_DELETED}"
            )
    shown = ", ".join(f"{half.id} is {one_line(half.status, 20)!r}" for half in pair.webhooks)
    if pair.webhooks and not pair.active:
        yield f"no webhook of the pair is active ({shown}), so nothing is delivered. Set one active in Featurebase"
    elif len(pair.active) > 1:
        yield (
            f"both webhooks of the pair are active ({shown}), so each event is delivered twice. If no run is moving "
            "the deliveries, trigger the Dag with mode=distribute, or pause one in Featurebase"
        )
    elif any(half.status != PAUSED for half in pair.webhooks if half not in pair.active):
        yield f"the standby of the pair is not paused ({shown}), so no run refreshes it. Set it paused in Featurebase"
    different = differences(pair)
    if different:
        yield (
            f"the webhooks of the pair differ in {', '.join(different)}, so no rotation starts. Make them equal in "
            "Featurebase"
        )
