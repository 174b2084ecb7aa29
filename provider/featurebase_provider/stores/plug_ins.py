"""Store types that other distributions offer.

A plug-in is a distribution with an entry point in the group ``featurebase_provider.stores`` whose name is
the store type and whose object is a subclass of :class:`~featurebase_provider.stores.base.StoreConfig`.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.stores.base import StoreConfig

if TYPE_CHECKING:
    from collections.abc import Collection

ENTRY_POINT_GROUP = "featurebase_provider.stores"


class UnknownStoreType(FeaturebaseError):
    """No store type has this name."""

    retry_helps = False

    def __init__(self, type_name: str, known: tuple[str, ...]) -> None:
        super().__init__(type_name, known)
        self.type_name, self.known = type_name, known

    def __str__(self) -> str:
        return f"unknown store type {self.type_name!r}; there are {', '.join(self.known)}"


class StorePluginBroken(FeaturebaseError):
    """An installed distribution offers a store type that cannot be used."""

    retry_helps = False

    def __init__(self, type_name: str, distribution: str, value: str, problem: str) -> None:
        super().__init__(type_name, distribution, value, problem)
        self.type_name, self.distribution, self.value, self.problem = type_name, distribution, value, problem

    def __str__(self) -> str:
        return (
            f"store type {self.type_name!r} comes from the distribution {self.distribution} "
            f"(entry point {ENTRY_POINT_GROUP}: {self.type_name} = {self.value}), but {self.problem}. "
            "Repair or remove that distribution"
        )


def offered_types() -> frozenset[str]:
    """Names of the store types that installed plug-ins offer."""
    return frozenset(point.name for point in entry_points(group=ENTRY_POINT_GROUP))


def plug_in_class(type_name: str, *, built_in: Collection[str]) -> type[StoreConfig]:
    """Import the class of a store type that is not built in.

    :param built_in: names of the types that are, for the error.
    :raises UnknownStoreType: nothing offers this type.
    :raises StorePluginBroken: a plug-in offers it, but cannot be imported or is no store.
    """
    offers = tuple(entry_points(group=ENTRY_POINT_GROUP, name=type_name))
    if not offers:
        raise UnknownStoreType(type_name, tuple(sorted({*built_in, *offered_types()})))
    offer = offers[0]
    distribution = offer.dist.name if offer.dist else "of unknown name"
    if others := {point.value for point in offers[1:]} - {offer.value}:
        raise StorePluginBroken(
            type_name, distribution, offer.value, f"another distribution offers it too ({', '.join(others)})"
        )
    try:
        loaded = offer.load()
    except Exception as error:  # a plug-in's import can fail in any way
        raise StorePluginBroken(
            type_name, distribution, offer.value, f"importing it fails with {error.__class__.__name__}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, StoreConfig)):
        raise StorePluginBroken(type_name, distribution, offer.value, "it is no subclass of StoreConfig")
    if loaded.model_fields["type"].default != type_name:
        raise StorePluginBroken(
            type_name, distribution, offer.value, f"its class does not declare type: Literal[{type_name!r}]"
        )
    return loaded
