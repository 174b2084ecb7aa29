"""Entries of stores, in the rotation file or in a Dag file: each is made by the class of its store type."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from featurebase_provider.annotations import Checked
from featurebase_provider.late import LateModule
from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.registry import store_class, store_types

if TYPE_CHECKING:
    from featurebase_provider.config import errors
    from featurebase_provider.stores import plug_ins
else:  # a file without errors does not need them
    errors = LateModule("featurebase_provider.config.errors")
    plug_ins = LateModule("featurebase_provider.stores.plug_ins")


def store_from(entry: Any) -> StoreConfig:
    """Make a store from its mapping; a store made before is taken as it is.

    :raises pydantic_core.PydanticCustomError: the entry is no mapping, or its type is missing or unknown.
    :raises pydantic.ValidationError: a field of that store type is wrong.
    """
    if isinstance(entry, StoreConfig):
        return entry
    if not isinstance(entry, Mapping):
        raise PydanticCustomError("store", "must be a mapping with a type, such as type: airflow_variable")
    model = class_of(entry)
    try:
        return model.model_validate(dict(entry))
    except ValidationError:
        raise
    except Exception as exc:  # noqa: BLE001  a plug-in's validators can fail in any way, and quote their input
        raise PydanticCustomError("store", "its store type fails with {error}", {"error": type(exc).__name__}) from None


def class_of(entry: Mapping[str, Any]) -> type[StoreConfig]:
    """The class of an entry's store type.

    :raises pydantic_core.PydanticCustomError: the type is missing, unknown, or its plug-in is broken.
    """
    name = entry.get("type")
    if not isinstance(name, str):
        problem = "is required" if name is None else "must be text"
        raise _type_error(problem)
    try:
        return store_class(name)
    except plug_ins.UnknownStoreType:
        raise _type_error(f"{errors.shown_value(name)} is no store type") from None
    except plug_ins.StorePluginBroken as exc:
        raise PydanticCustomError("store_type", "{problem}", {"problem": str(exc)}) from None


def _type_error(problem: str) -> PydanticCustomError:
    # Only here: asking for all types searches the metadata of everything that is installed.
    context = {"problem": problem, "known": ", ".join(store_types())}
    return PydanticCustomError("store_type", "{problem}; allowed: {known}", context)


def with_labels(entries: Sequence[Any]) -> list[Any]:
    """Give each store of a type that occurs more than once its own label: ``object_storage_2`` and so on.

    Explicit labels stay as they are. A label names the store's push task: a number changes if the order does.
    """
    taken = {label for entry in entries if (label := _explicit_label(entry)) is not None}
    labelled: list[Any] = []
    for entry in entries:
        if isinstance(entry, Mapping) and _explicit_label(entry) is None and isinstance(entry.get("type"), str):
            label = _free_label(entry["type"], taken)
            taken.add(label)
            # The type's own default says the same; leaving it out keeps faults about the type clear.
            labelled.append(entry if label == entry["type"] else {**entry, "label": label})
        else:
            labelled.append(entry)
    return labelled


def _explicit_label(entry: Any) -> str | None:
    label = entry.label if isinstance(entry, StoreConfig) else None
    if isinstance(entry, Mapping):
        label = entry.get("label")
    return label if isinstance(label, str) else None


def _free_label(base: str, taken: set[str]) -> str:
    label, number = base, 1
    while label in taken:
        number += 1
        label = f"{base}_{number}"
    return label


StoreEntry = Annotated[StoreConfig, Checked(store_from, {}, when="instead")]
"""A store of any type that is installed."""


@functools.cache  # which a Dag file without stores of its own does not need
def _stores() -> TypeAdapter[tuple[StoreConfig, ...]]:
    return TypeAdapter(tuple[StoreEntry, ...])


def parse_stores(entries: Sequence[StoreConfig | Mapping[str, Any]]) -> tuple[StoreConfig, ...]:
    """Make stores from mappings as in the rotation file; stores made before are taken as they are.

    :raises ConfigError: an entry is wrong; the message lists every fault.
    """
    try:
        return _stores().validate_python(tuple(with_labels(list(entries))))
    except ValidationError as exc:
        from featurebase_provider.config.explain import details_of

        faults = tuple(
            errors.Fault(
                0,
                "stores" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]),
                detail["msg"],
            )
            for detail in details_of(exc)
        )
        raise errors.ConfigError("the operator's stores", faults) from None
