"""Stores that are written down in a Dag file rather than in the rotation file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from featurebase_provider.config.errors import ConfigError, Fault
from featurebase_provider.config.explain import details_of
from featurebase_provider.config.store_list import StoreEntry, with_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.stores.base import StoreConfig

_STORES: TypeAdapter[tuple[StoreConfig, ...]] = TypeAdapter(tuple[StoreEntry, ...])


def parse_stores(entries: Sequence[StoreConfig | Mapping[str, Any]]) -> tuple[StoreConfig, ...]:
    """Make stores from mappings as in the rotation file; stores made before are taken as they are.

    :raises ConfigError: an entry is wrong; the message lists every fault.
    """
    try:
        return _STORES.validate_python(tuple(with_labels(list(entries))))
    except ValidationError as exc:
        faults = tuple(
            Fault(
                0,
                "stores" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]),
                detail["msg"],
            )
            for detail in details_of(exc)
        )
        raise ConfigError("the operator's stores", faults) from None
