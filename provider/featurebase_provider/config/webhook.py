"""Checks one webhook of the file: merges `defaults:`, checks fields and stores, and looks for contradictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from featurebase_provider.config.agreement import IDENTIFIERS, naming_problems, settings_problems, store_problems
from featurebase_provider.config.document import walk
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.config.settings import WebhookSettings
from featurebase_provider.config.stores import class_of, store_from, with_labels
from featurebase_provider.featurebase.text import without_tokens
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from featurebase_provider.config import errors, explain
    from featurebase_provider.config.document import Node
    from featurebase_provider.config.errors import Fault, Key, Place
    from featurebase_provider.config.explain import Locate
    from featurebase_provider.stores.base import StoreConfig
else:  # a file without errors does not need them
    errors = LateModule("featurebase_provider.config.errors")
    explain = LateModule("featurebase_provider.config.explain")

SUB_MAPPINGS = ("probe", "verify", "overlap", "approval")
"""Fields that are merged key by key; all others replace the default as a whole."""


class MergedWebhook:  # no dataclass: generating one costs more than checking an entry
    """A webhook's mapping merged with the defaults.

    :param index: its number in the file, from 0.
    :param own: the webhook's own fields.
    :param defaults: the fields of ``defaults:``, or None.
    """

    __slots__ = ("defaults", "index", "own")

    def __init__(self, index: int, own: Node, defaults: Node | None) -> None:
        self.index, self.own, self.defaults = index, own, defaults

    def values(self) -> dict[str, Any]:
        """The merged fields, as plain values."""
        merged: dict[str, Any] = {} if self.defaults is None else self.defaults.plain()
        for key, value in self.own.plain().items():
            below = merged.get(key)
            if key in SUB_MAPPINGS and isinstance(below, dict) and (isinstance(value, dict) or value is True):
                merged[key] = {**below, **({} if value is True else value)}
            else:
                merged[key] = value
        if merged.get("strategy") != "overlap" and self.own.child("overlap") is None:
            merged.pop("overlap", None)  # a default for the pairs of the file
        return merged

    def place(self, loc: tuple[Key, ...]) -> Place:
        """The position of the merged field's value in the file; the webhook itself if the file does not have it."""
        here = walk(self.own, loc, ("webhooks", self.index))
        if self.defaults is None or not loc or _is_own(self.own, loc):
            return here
        there = walk(self.defaults, loc, ("defaults",))
        return there if there.found else here


def _is_own(own: Node, loc: tuple[Key, ...]) -> bool:
    """Whether the webhook itself sets the field, or sets something that excludes the default."""
    child = own.child(loc[0])
    if child is None:
        return False
    if loc[0] in SUB_MAPPINGS and len(loc) > 1 and (isinstance(child.value, dict) or child.value is True):
        return isinstance(child.value, dict) and child.child(loc[1]) is not None
    return True


class CheckedWebhook:
    """A webhook of the file that was checked.

    :ivar values: the merged fields, as in the file.
    :ivar stores: the valid stores, by their number in the list.
    :ivar config: the webhook's model, or None if it has an error.
    """

    __slots__ = ("config", "faults", "source", "stores", "values")

    def __init__(self, source: MergedWebhook) -> None:
        self.source = source
        self.values: dict[str, Any] = source.values()
        self.stores: dict[int, StoreConfig] = {}
        self.config: WebhookConfig | None = None
        self.faults: list[Fault] = []


def check_webhook(source: MergedWebhook) -> CheckedWebhook:
    """Check a webhook merged with the defaults. Errors in ``defaults:`` itself are left to its own check."""
    checked = CheckedWebhook(source)
    _check_stores(checked)
    failing = _check_fields(checked)
    if checked.config is None:
        _check_agreement(checked, failing)
    return checked


def _check_stores(checked: CheckedWebhook) -> None:
    entries = checked.values.get("stores")
    for index, entry in enumerate(with_labels(entries) if isinstance(entries, list) else []):
        locate = _below(checked.source, ("stores", index))
        try:
            checked.stores[index] = store_from(entry)
        except PydanticCustomError as exc:
            place = locate(("type",) if isinstance(entry, dict) else ())
            checked.faults.append(errors.Fault(place.line, place.field, without_tokens(exc.message())))
        except ValidationError as exc:
            model = class_of(entry)
            checked.faults += [explain.fault_from(detail, model, locate) for detail in explain.details_of(exc)]


def _below(source: MergedWebhook, path: tuple[Key, ...]) -> Locate:
    def locate(loc: tuple[Key, ...]) -> Place:
        return source.place((*path, *loc))

    return locate


def _check_fields(checked: CheckedWebhook) -> set[str]:
    """Check all fields except the stores' own; return the names of the invalid ones."""
    values = dict(checked.values)
    if checked.stores:
        values["stores"] = list(checked.stores.values())
    try:
        config = WebhookConfig.model_validate(values)
    except ValidationError as exc:
        details = explain.details_of(exc)
        for detail in details:
            fault = explain.fault_from(detail, WebhookConfig, checked.source.place)
            if not _said_of_stores(detail, checked.values) and not _is_fault_of_defaults(fault, detail):
                checked.faults.append(fault)
        return {str(detail["loc"][0]) for detail in details}
    if not checked.faults:
        checked.config = config
    return set()


def _said_of_stores(detail: ErrorDetails, values: dict[str, Any]) -> bool:
    """Whether the stores' own check reports this already; an invalid store is missing from the list."""
    loc = detail["loc"]
    return loc[0] == "stores" and (len(loc) > 1 or (detail["type"] == "too_short" and bool(values["stores"])))


def _is_fault_of_defaults(fault: Fault, detail: ErrorDetails) -> bool:
    return fault.field.startswith("defaults.") and detail["type"] != errors.DISAGREEMENT


def _check_agreement(checked: CheckedWebhook, failing: set[str]) -> None:
    """Find contradictions among the valid fields."""
    values = checked.values
    right = {name: values[name] for name in WebhookSettings.model_fields if name in values and name not in failing}
    settings = WebhookSettings.model_validate(right)
    named = {name for name in IDENTIFIERS if values.get(name) is not None}
    problems = [
        *naming_problems(named, settings.strategy),
        *settings_problems(settings),
        *store_problems(settings, checked.stores),
    ]
    for problem in problems:
        if not failing & {*problem.fields} - {"stores"}:
            checked.faults.append(explain.fault_from_problem(problem, WebhookConfig, checked.source.place))
