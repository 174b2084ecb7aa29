"""Loads the rotation file into its models, or lists all of its errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from featurebase_provider.config.document import Node, Unreadable, read_document, screen, walk
from featurebase_provider.config.file import read_text
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.config.settings import WebhookSettings
from featurebase_provider.config.shared_places import clashes
from featurebase_provider.config.webhook import CheckedWebhook, MergedWebhook, check_webhook
from featurebase_provider.featurebase.text import without_tokens
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from featurebase_provider.config import errors, explain
    from featurebase_provider.config.errors import Fault, Key, Place
    from featurebase_provider.config.rotation_config import RotationConfig
else:  # a file without errors does not need them
    errors = LateModule("featurebase_provider.config.errors")
    explain = LateModule("featurebase_provider.config.explain")

EXAMPLE = """webhooks:
  - name: production
    webhook_id: 507f1f77bcf86cd799439011
    stores:
      - {type: airflow_variable, name: featurebase_webhook_signing_secret}"""
_TOP = ("audit", "defaults", "webhooks")
_OF_EACH_WEBHOOK = WebhookConfig.model_fields.keys() - WebhookSettings.model_fields.keys()


def repeated(webhooks: Sequence[CheckedWebhook]) -> Iterator[Fault]:
    """A fault for each repeated name, webhook or target, with the field and line of the first.

    Two entries for one webhook, one by id and the other by name, are not found here: only Featurebase knows.
    """
    seen: dict[tuple[str, ...], tuple[CheckedWebhook, tuple[Key, ...]]] = {}
    for webhook in webhooks:
        for key, loc, value, what in _claims(webhook):
            holder, its_loc = seen.setdefault(key, (webhook, loc))
            if holder is not webhook:
                place, first = webhook.source.place(loc), holder.source.place(its_loc)
                where = f"{errors.shown_value(value)} {what} {first.field} (line {first.line})"
                yield errors.Fault(place.line, place.field, without_tokens(where))
    stores = {
        (number, index): store for number, webhook in enumerate(webhooks) for index, store in webhook.stores.items()
    }
    for later, earlier, what in clashes(stores):
        (place, first) = (webhooks[number].source.place(("stores", index)) for number, index in (later, earlier))
        yield errors.Fault(place.line, place.field, without_tokens(f"{what} {first.field} (line {first.line})"))


def _claims(webhook: CheckedWebhook) -> Iterator[tuple[tuple[str, ...], tuple[Key, ...], str, str]]:
    """What must be unique in a webhook: a key, its position, its value, and what is wrong with a repetition."""
    values = webhook.values
    connection = values.get("featurebase_conn_id", WebhookSettings.model_fields["featurebase_conn_id"].default)
    if isinstance(name := values.get("name"), str):
        yield ("name", name), ("name",), name, "would name the same Dag as"
    for key, (webhook_id, loc) in _ids(values).items():
        yield ("webhook_id", str(connection), key), loc, webhook_id, "is the same webhook as"
    if isinstance(name := values.get("webhook_name"), str):
        yield ("webhook_name", str(connection), name), ("webhook_name",), name, "is the same webhook as"


def _ids(values: dict[str, Any]) -> dict[str, tuple[str, tuple[Key, ...]]]:
    """The ids that an entry names, alone or as a pair: by lower case, each once, as written and with its field."""
    pair = values.get("webhook_ids")
    named: list[tuple[Any, tuple[Key, ...]]] = [(values.get("webhook_id"), ("webhook_id",))]
    named += [(own, ("webhook_ids", index)) for index, own in enumerate(pair if isinstance(pair, list) else [])]
    return {own.lower(): (own, loc) for own, loc in reversed(named) if isinstance(own, str)}


class CheckedFile:
    """A rotation file that was read, valid or not.

    :param root: its content; None if it is not YAML.
    :param webhooks: its entries that are mappings.
    :param faults: all errors, in the order of the file.
    """

    __slots__ = ("faults", "path", "root", "webhooks")

    def __init__(
        self, path: str, root: Node | None, webhooks: Sequence[CheckedWebhook], faults: Sequence[Fault]
    ) -> None:
        self.path, self.root, self.webhooks, self.faults = path, root, tuple(webhooks), tuple(faults)


def load_rotation_config(path: str | os.PathLike[str]) -> RotationConfig:
    """Read and check the rotation file, and merge its defaults.

    :param path: the YAML file.
    :raises ConfigError: the file is missing or has errors; it contains every error with its line and field.
    """
    from featurebase_provider.config.audit import AuditConfig  # only the audit needs the whole file
    from featurebase_provider.config.rotation_config import RotationConfig

    file = _right_file(path)
    audit = file.root.child("audit") if file.root is not None else None
    says = audit.plain() if audit is not None else None
    audit_config = AuditConfig.model_validate(says) if says else AuditConfig.model_construct()
    return RotationConfig.model_construct(
        path=file.path, webhooks=_webhooks(file), audit=audit_config
    )  # all is checked


def load_webhooks(path: str | os.PathLike[str]) -> tuple[WebhookConfig, ...]:
    """Read and check the whole rotation file, and return its webhooks, with its defaults merged.

    :raises ConfigError: as :func:`load_rotation_config`.
    """
    return _webhooks(_right_file(path))


def _right_file(path: str | os.PathLike[str]) -> CheckedFile:
    file = check_file(path)
    if file.faults:
        raise errors.ConfigError(file.path, file.faults)
    return file


def _webhooks(file: CheckedFile) -> tuple[WebhookConfig, ...]:
    return tuple(webhook.config for webhook in file.webhooks if webhook.config is not None)


def check_file(path: str | os.PathLike[str]) -> CheckedFile:
    """Read and check the rotation file; keep valid entries even if others have errors.

    :param path: the YAML file.
    :raises ConfigError: the file can't be read as text.
    """
    text = read_text(Path(path))
    checked: list[CheckedWebhook] = []
    root = None
    try:
        root, faults = read_document(text)
        faults += _check_root(root, checked)
        if root is not None:
            faults = _screened(faults, root)
    except Unreadable as exc:
        faults = [exc.fault]
    return CheckedFile(str(path), root, checked, sorted(set(faults)))


def _check_root(root: Node | None, checked: list[CheckedWebhook]) -> list[Fault]:
    if root is None or root.value is None:
        return [errors.Fault(0, "", f"the file is empty. A minimal file:\n{EXAMPLE}")]
    if not isinstance(root.value, dict):
        return [errors.Fault(root.line, "", f"the file must be a mapping with webhooks. A minimal file:\n{EXAMPLE}")]
    faults = _unknown(root, [key for key in root.value if key not in _TOP])
    defaults, defaults_faults = _check_defaults(root.value.get("defaults"), root)
    faults += defaults_faults
    faults += _check_audit(root)
    faults += _check_webhooks(root, defaults, checked)
    return faults


def _unknown(root: Node, keys: Sequence[str]) -> list[Fault]:
    if not keys:
        return []
    return [
        errors.Fault(root.key_lines[key], errors.field_name((key,)), explain.unknown_field(key, list(_TOP)))
        for key in keys
    ]


def _check_defaults(node: Node | None, root: Node) -> tuple[Node | None, list[Fault]]:
    """Check ``defaults:`` by itself; return the part that webhooks inherit."""
    if node is None or node.value is None:
        return None, []
    if not isinstance(node.value, dict):
        return None, [errors.Fault(root.key_lines["defaults"], "defaults", "must be a mapping (key: value)")]
    whole = node
    faults = [
        errors.Fault(
            whole.key_lines[key],
            errors.field_name(("defaults", key)),
            "can't have a default; move it into each webhook",
        )
        for key in node.value
        if key in _OF_EACH_WEBHOOK
    ]
    shared = {key: child for key, child in whole.value.items() if key not in _OF_EACH_WEBHOOK}
    node = Node(shared, whole.line, whole.key_lines)

    def locate(loc: tuple[Key, ...]) -> Place:
        return walk(whole, loc, ("defaults",))

    try:
        WebhookSettings.model_validate(node.plain())
    except ValidationError as exc:
        faults += [explain.fault_from(detail, WebhookSettings, locate) for detail in explain.details_of(exc)]
    return node, faults


def _check_audit(root: Node) -> list[Fault]:
    """Check ``audit:``."""
    node = root.child("audit")
    if node is None or node.value is None:
        return []
    if not isinstance(node.value, dict):
        return [errors.Fault(root.key_lines["audit"], "audit", "must be a mapping (key: value)")]

    from featurebase_provider.config.audit import AuditConfig  # most files have no such section

    def locate(loc: tuple[Key, ...]) -> Place:
        return walk(node, loc, ("audit",))

    try:
        AuditConfig.model_validate(node.plain())
    except ValidationError as exc:
        return [explain.fault_from(detail, AuditConfig, locate) for detail in explain.details_of(exc)]
    return []


def _check_webhooks(root: Node, defaults: Node | None, checked: list[CheckedWebhook]) -> list[Fault]:
    node = root.child("webhooks")
    line = root.key_lines.get("webhooks", root.line)
    if node is None or not isinstance(node.value, list) or not node.value:
        problem = "is required" if node is None else "must be a list of at least one webhook"
        return [errors.Fault(line, "webhooks", f"{problem}. A minimal file:\n{EXAMPLE}")]
    faults: list[Fault] = []
    for index, own in enumerate(node.value):
        if isinstance(own.value, dict):
            checked.append(check_webhook(MergedWebhook(index, own, defaults)))
            faults += checked[-1].faults
        else:
            faults.append(
                errors.Fault(own.line, f"webhooks[{index}]", "must be a mapping with name, webhook_id and stores")
            )
    return [*faults, *repeated(checked)]


def _screened(faults: list[Fault], root: Node) -> list[Fault]:
    """Add errors for credentials and control characters; such a field gets no other error."""
    found = list(screen(root))
    places = {(fault.line, fault.field) for fault in found}
    return [*found, *(fault for fault in faults if (fault.line, fault.field) not in places)]
