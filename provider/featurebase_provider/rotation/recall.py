"""Reads a webhook's records into a history: what is absent tells nothing, and what is unknown is not absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import MemoryUnknown
from featurebase_provider.rotation.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.plan import RotationPlan


def recall(
    memory: WebhookMemory,
    *,
    plan_keys: Iterable[str] = (),
    events: Callable[[], tuple[Sequence[Any], Sequence[Any]]] | None = None,
    tolerate: Callable[[MemoryUnknown], None] | None = None,
) -> History:
    """Read what earlier runs tell of a webhook.

    :param plan_keys: plans whose runs may have died before they left more; see ``memory.plan_key``.
    :param events: gives reports and plans that lie in asset events, oldest first; asked only where there is no
        history record yet.
    :param tolerate: takes the problem where a record is unknown, which then tells nothing; without it the problem
        is raised.
    :raises MemoryUnknown: a record can't be read, or is not ours.
    """

    def attempt(read: Callable[..., Any], *arguments: str, otherwise: Any) -> Any:
        try:
            return read(*arguments)
        except MemoryUnknown as exc:
            if tolerate is None:
                raise
            tolerate(exc)
            return otherwise

    record = attempt(memory.read, "history", otherwise={})
    if record is not None:
        history = History.from_json(record, memory.webhook_id)
    else:
        history = History.from_events(memory.webhook_id, *(events() if events is not None else ((), ())))
    history = history.knowing(leaked=attempt(memory.leaked, otherwise=frozenset()))
    for key in plan_keys:
        plan: RotationPlan | None = attempt(memory.plan, key, otherwise=None)
        if plan is not None:
            history = history.knowing(known=[plan.before], leaked=plan.leaked)
    return history
