"""What the fields of a webhook ask of each other: right alone, wrong together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from featurebase_provider.config.models import WebhookSettings
    from featurebase_provider.stores.base import StoreConfig

DISAGREEMENT = "disagreement"
"""Pydantic's error type for fields that are right alone and wrong together."""

FEATUREBASE_RETRIES = timedelta(hours=7, minutes=1)
"""From the first failed attempt of a delivery to its last retry (Featurebase guide "Delivery behaviors")."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Fields that are right alone and wrong together.

    :param fields: their names, the one to change first.
    :param message: why they do not agree.
    :param loc: the path of the one to change, where it is no plain field.
    """

    fields: tuple[str, ...]
    message: str
    loc: tuple[str | int, ...] = ()


def naming_problems(*, has_id: bool, has_name: bool) -> Iterator[Problem]:
    """A webhook is named once, by id or by name."""
    if has_id and has_name:
        yield Problem(("webhook_name", "webhook_id"), "names the webhook a second time; keep this or webhook_id")
    elif not has_id and not has_name:
        yield Problem(("webhook_id", "webhook_name"), "is required, or webhook_name in its place")


def settings_problems(s: WebhookSettings) -> Iterator[Problem]:
    """What the fields that ``defaults:`` may hold ask of each other."""
    if s.min_age is not None and s.max_age is not None and s.min_age >= s.max_age:
        yield Problem(("min_age", "max_age"), "must be shorter than max_age")
    if s.reactivate and s.probe is None:
        message = "needs the probe, which shows that the receiver accepts the new secret; add probe: true"
        yield Problem(("reactivate", "probe"), message)
    if s.refresh_grace >= s.execution_timeout:
        message = "must be shorter than execution_timeout, or the task is stopped while it looks for the refresh"
        yield Problem(("refresh_grace", "execution_timeout"), message)
    for delay in ("retry_delay", "push_retry_delay"):
        if getattr(s, delay) > s.max_retry_delay:
            yield Problem((delay, "max_retry_delay"), "must not be longer than max_retry_delay")


def store_problems(settings: WebhookSettings, stores: Mapping[int, StoreConfig]) -> Iterator[Problem]:
    """What the stores ask of each other and of the webhook; ``stores`` by their number in the list."""
    labels: dict[str, int] = {}
    for index, store in stores.items():
        first = labels.setdefault(store.label, index)
        if first != index:
            message = f"is the label of stores[{first}] too; labels name push tasks and are unique in a webhook"
            yield Problem(("stores",), message, ("stores", index, "label"))
    if settings.previous_for < FEATUREBASE_RETRIES and any(store.keeps_previous for store in stores.values()):
        message = (
            "must be PT7H1M at least where a store keeps the previous secret: Featurebase retries deliveries "
            "that long, and does not say which secret signs a retry"
        )
        yield Problem(("previous_for", "stores"), message)


def target_problems(stores: tuple[StoreConfig, ...]) -> Iterator[Problem]:
    """Two stores of one webhook never write to one place; across a file see ``uniqueness``."""
    targets: dict[str, int] = {}
    for index, store in enumerate(stores):
        first = targets.setdefault(store.target, index)
        if first != index:
            yield Problem(("stores",), f"writes to the target of stores[{first}]", ("stores", index))


def disagreement(problems: Iterable[Problem]) -> ValidationError:
    """The problems as an error that a model's validator can raise, each at its own field."""
    details = [
        InitErrorDetails(
            # The message goes in as a value: braces in it would be read as a template.
            type=PydanticCustomError(DISAGREEMENT, "{message}", {"message": p.message, "fields": p.fields}),
            loc=p.loc or (p.fields[0],),
            input=None,
        )
        for p in problems
    ]
    return ValidationError.from_exception_data("rotation file", details, hide_input=True)
