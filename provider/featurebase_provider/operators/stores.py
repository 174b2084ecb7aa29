"""An operator's stores, and the rules by which its Dag run may write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from featurebase_provider.airflow_compat import airflow_conf

if TYPE_CHECKING:
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.store import Store
    from featurebase_provider.stores.base import StoreConfig


def write_rule(plan: RotationPlan, *, also_known: Sequence[str] = ()) -> WriteRule:
    """The rules by which this Dag run may write stores."""
    return plan.rule(this_airflow(), also_known=also_known)


def this_airflow() -> str:
    """Identifies this Airflow, for the mark in stores: its base URL, or else the host name."""
    import socket

    return str(airflow_conf().get("api", "base_url", fallback=None) or socket.gethostname())


def resolve_stores(stores: Sequence[Store | Mapping[str, Any]]) -> tuple[Store, ...]:
    """Turn mappings, as in the rotation file, into stores; stores are returned unchanged.

    :raises ConfigError: a mapping is invalid; the message names the field.
    """
    ready = tuple(store for store in stores if not isinstance(store, Mapping))
    if len(ready) == len(stores):
        return ready
    from featurebase_provider.config.stores import parse_stores

    return parse_stores(cast("Sequence[StoreConfig | Mapping[str, Any]]", stores))


def previous_targets(stores: Sequence[Store | Mapping[str, Any]]) -> list[str]:
    """Where these stores keep the previous secret."""
    return [place for store in resolve_stores(stores) if (place := store.previous_target) is not None]
