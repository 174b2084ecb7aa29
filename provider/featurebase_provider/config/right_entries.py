"""The entries of a rotation file that an emergency can work with, whatever else in the file is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from featurebase_provider.config.errors import ConfigError
from featurebase_provider.config.loading import check_file
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.config.webhook import SUB_MAPPINGS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from featurebase_provider.config.errors import Fault
    from featurebase_provider.config.loading import CheckedFile
    from featurebase_provider.config.webhook import CheckedWebhook

_NEEDED = frozenset({"name", "webhook_id", "webhook_name", "featurebase_conn_id", "stores"})
"""What says which secret is refreshed and where it must go. All else has defaults that an emergency can do with."""


@dataclass(frozen=True, slots=True)
class RightEntries:
    """What of a rotation file is right.

    :param webhooks: the entries whose webhook, connection and stores are right. A setting beside them that is wrong
        has its default.
    :param wrong: the other entries, each with what is wrong with it; one without a usable name goes by its place,
        such as ``webhooks[2]``.
    :param error: everything that is wrong with the file, or None.
    """

    webhooks: tuple[WebhookConfig, ...]
    wrong: Mapping[str, str] = field(default_factory=dict)
    error: ConfigError | None = None


def load_right_entries(path: str | os.PathLike[str]) -> RightEntries:
    """Read the rotation file, and leave out the entries that are wrong.

    :param path: the YAML file.
    :raises ConfigError: no entry is right; holds every fault with its line and field.
    """
    file = check_file(path)
    if not file.faults:
        return RightEntries(tuple(one.config for one in file.webhooks if one.config is not None))
    error = ConfigError(file.path, file.faults)
    right = {one.source.index: config for one in file.webhooks if (config := _usable(one, file)) is not None}
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
    """The entry that a fault is in, or ``defaults``, and the field there; "" where it is no single one."""
    found = re.match(r"(webhooks\[\d+\]|defaults)(?:\.([^.\[]*))?", fault.field)
    return (found[1], found[2] or "") if found is not None else ("", "")


def _usable(webhook: CheckedWebhook, file: CheckedFile) -> WebhookConfig | None:
    """The entry, without the settings that are wrong; None where what an emergency needs is wrong, or may be."""
    values = webhook.values
    wrong = {name for fault in file.faults if (name := _field_of(webhook, fault)) is not None}
    if wrong & _NEEDED:
        return None
    # A field of an unknown name may be a misspelt connection: only an id means one webhook whatever the workspace.
    if not wrong <= WebhookConfig.model_fields.keys() and "webhook_id" not in values:
        return None
    for kept in (WebhookConfig.model_fields.keys() - wrong, _NEEDED):
        config = _config({name: value for name, value in values.items() if name in kept})
        if config is not None:
            return config
    return None


def _config(values: Mapping[str, Any]) -> WebhookConfig | None:
    try:
        return WebhookConfig.model_validate(values)
    except ValidationError:
        return None


def _field_of(webhook: CheckedWebhook, fault: Fault) -> str | None:
    """Which field of the entry a fault concerns, its name where the whole is wrong, None where it is another's."""
    place, name = _split(fault)
    if place == "defaults":
        own = webhook.source.own.child(name)
        return name if own is None or name in SUB_MAPPINGS else None
    if place == f"webhooks[{webhook.source.index}]":
        return name or "name"
    return None
