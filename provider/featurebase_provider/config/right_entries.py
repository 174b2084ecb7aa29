"""Loads the entries of a rotation file that an emergency can use, even if the rest of the file has errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from featurebase_provider.config.agreement import IDENTIFIERS
from featurebase_provider.config.loading import check_file
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.config.webhook import SUB_MAPPINGS
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from featurebase_provider.config import errors
    from featurebase_provider.config.errors import ConfigError, Fault
    from featurebase_provider.config.loading import CheckedFile
    from featurebase_provider.config.webhook import CheckedWebhook
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")

_NEEDED = frozenset({"name", *IDENTIFIERS, "strategy", "featurebase_conn_id", "stores"})
"""Fields that decide which secret is refreshed and where it is written. An emergency can use defaults for the rest."""


class RightEntries:
    """The usable entries of a rotation file.

    :param webhooks: the entries whose webhook, connection and stores are valid. Any other setting that is invalid has
        its default.
    :param wrong: the other entries, each with its error; an entry without a usable name is identified by its position,
        such as ``webhooks[2]``.
    :param error: all errors in the file, or None.
    """

    __slots__ = ("error", "webhooks", "wrong")

    def __init__(
        self,
        webhooks: tuple[WebhookConfig, ...],
        wrong: Mapping[str, str] | None = None,
        error: ConfigError | None = None,
    ) -> None:
        self.webhooks = webhooks
        self.wrong: Mapping[str, str] = {} if wrong is None else wrong
        self.error = error


def load_right_entries(path: str | os.PathLike[str]) -> RightEntries:
    """Read the rotation file, and leave out invalid entries.

    :param path: the YAML file.
    :raises ConfigError: no entry is valid; it contains every error with its line and field.
    """
    file = check_file(path)
    if not file.faults:
        return RightEntries(tuple(entry.config for entry in file.webhooks if entry.config is not None))
    error = errors.ConfigError(file.path, file.faults)
    right = {entry.source.index: config for entry in file.webhooks if (config := _usable(entry, file)) is not None}
    if not right:
        raise error
    return RightEntries(tuple(right.values()), _wrong(file, right), error)


def _wrong(file: CheckedFile, right: Mapping[int, WebhookConfig]) -> dict[str, str]:
    entries = file.root.child("webhooks") if file.root is not None else None
    wrong = {}
    for index, entry in entries.children() if entries is not None else ():
        if index not in right:
            place = f"webhooks[{index}]"
            faults = [fault for fault in file.faults if _split(fault)[0] == place]
            name = entry.child("name")
            usable = name is not None and name.value and "name" not in {_split(fault)[1] for fault in faults}
            faults = faults or [fault for fault in file.faults if _split(fault)[0] == "defaults"]
            label = name.value if usable and name is not None else place
            wrong[label] = "; ".join(fault.within(file.path) for fault in faults)
    return wrong


def _split(fault: Fault) -> tuple[str, str]:
    """The entry that an error is in, or ``defaults``, and the field there; "" if it is not a single field."""
    found = re.match(r"(webhooks\[\d+\]|defaults)(?:\.([^.\[]*))?", fault.field)
    return (found[1], found[2] or "") if found is not None else ("", "")


def _usable(webhook: CheckedWebhook, file: CheckedFile) -> WebhookConfig | None:
    """The entry without its invalid settings; None if a setting that an emergency needs is, or may be, invalid."""
    values = webhook.values
    wrong = {name for fault in file.faults if (name := _field_of(webhook, fault)) is not None}
    if wrong & _NEEDED:
        return None
    unknown = wrong - WebhookConfig.model_fields.keys()
    from difflib import get_close_matches

    if any(get_close_matches(name, ("strategy", "webhook_ids"), cutoff=0.8) for name in unknown):
        return None  # perhaps a pair, of which no webhook must be rotated alone
    # An unknown field may also be a misspelt connection. Only an id means the same webhook in every workspace.
    if unknown and not {"webhook_id", "webhook_ids"} & values.keys():
        return None
    always = {"probe": True} if values.get("strategy") == "overlap" else {}
    for kept in (WebhookConfig.model_fields.keys() - wrong, _NEEDED):
        config = _config({**always, **{name: value for name, value in values.items() if name in kept}})
        if config is not None:
            return config
    return None


def _config(values: Mapping[str, Any]) -> WebhookConfig | None:
    try:
        return WebhookConfig.model_validate(values)
    except ValidationError:
        return None


def _field_of(webhook: CheckedWebhook, fault: Fault) -> str | None:
    """The field of the entry that an error concerns; "name" if it is the whole entry; None if it is another entry."""
    place, name = _split(fault)
    if place == "defaults":
        own = webhook.source.own.child(name)
        return name if own is None or name in SUB_MAPPINGS else None
    if place == f"webhooks[{webhook.source.index}]":
        return name or "name"
    return None
