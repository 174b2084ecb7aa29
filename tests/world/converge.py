"""Brings one store to what it must hold, as a push does, without Featurebase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.rotation.one_write import write_wanted

if TYPE_CHECKING:
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.one_store import Desired, WriteRule
    from featurebase_provider.rotation.store import ArmedStore, StoredValue


def converge(
    armed: ArmedStore, wanted: SigningSecret | Desired, rule: WriteRule, *, held: StoredValue | None = None
) -> bool:
    """Write the store unless it holds what is wanted, complete the write, and read it back.

    :param held: what the store holds, if it was read before.
    :returns: whether the value was written.
    """
    written = write_wanted(armed, wanted, rule, held=armed.read() if held is None else held)
    if written is None:
        return False
    written.confirm()
    return written.is_new
