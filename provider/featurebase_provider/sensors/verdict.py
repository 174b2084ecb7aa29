"""What the delivery health sensor says and judges at the end: the trigger's event, the deliveries, and the stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.errors import DeliveryHealthUnreadable, StoresDisagree, StoresUnread
from featurebase_provider.rotation.health import last_result
from featurebase_provider.rotation.one_store import is_padded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.health import WaitEnd
    from featurebase_provider.rotation.store import Store, StoredValue
    from featurebase_provider.triggers.webhook_delivery_health import DeliveryHealthEvent

KINDS = ("healthy", "failing", "quiet", "inactive", "unreadable")
UNWATCHED: Final = "unwatched"
"""The event of a triggerer that could not start to watch."""
CONTRADICTION = (
    "one read of Featurebase showed that the webhook is not active, and the next one that it is: one of them is stale, "
    "or somebody set it active in between. Its deliveries were not checked; a retry reads again"
)


def checked_event(event: Mapping[str, Any] | None, *, webhook_id: str) -> DeliveryHealthEvent:
    """Check the trigger's event and return it.

    :raises DeliveryHealthUnreadable: it is missing, belongs to another webhook, or has an unknown kind.
    """
    if (
        not isinstance(event, Mapping)
        or event.get("webhook_id") != webhook_id
        or event.get("kind") not in (*KINDS, UNWATCHED)
    ):
        raise DeliveryHealthUnreadable(
            webhook_id, "the trigger's event is not a verdict about this webhook; clear this task"
        )
    return cast("DeliveryHealthEvent", event)


def sentence(kind: WaitEnd, webhook: Webhook, *, probed: bool, delivered: bool) -> str:
    """The verdict in one sentence, with Featurebase's own result, code and time.

    :param probed: whether the probe has passed.
    :param delivered: whether Featurebase shows a result that counts, or may have shown one.
    """
    last = last_result(webhook)
    forward = "The old secret can't be restored: make sure that every receiver has loaded the new one"
    shown = f"too few deliveries since the push to decide{last}" if delivered else "no delivery since the push was seen"
    return {
        "healthy": f"a delivery after the push succeeded{last}",
        "failing": f"deliveries fail since the push{last}. {forward}, then clear this task",
        "inactive": f"the webhook is {webhook.status!r}, so nothing is delivered{last}. {forward}, set it active in "
        "Featurebase, then clear this task",
        "quiet": f"{shown}; "
        + ("the probe has passed" if probed else "no probe has shown that the receiver accepts the secret"),
        "unreadable": "too many reads of Featurebase failed, so the deliveries were not checked. The stores hold the "
        "new secret; a retry reads again",
    }[kind]


def compare_stores(
    stores: Sequence[Store],
    webhook: Webhook,
    is_held: Callable[[Webhook, StoredValue], bool],
    *,
    say: Callable[..., Any],
) -> None:
    """Make sure that every store that can be read holds the webhook's secret.

    :param is_held: whether what a store holds has the webhook's secret where its readers look for it.
    :param say: takes a format and its arguments for what is not an error.
    :raises StoresUnread: a store did not answer; a retry compares again.
    :raises StoresDisagree: a store holds something else, or can't be read at all.
    """
    current = secret_of(webhook)
    with arming(stores) as ready:
        unread = tuple(ready.problems.values())
        wrong = [str(problem) for problem in unread]
        for label, held in ready.held.items():
            if not held.readable:
                say("Store %s can't be compared: it is write-only", ready.armed[label].name)
            elif not is_held(webhook, held):
                space = ", which differs only in white space" if is_padded(held, current.fingerprint) else ""
                wrong.append(f"store {ready.armed[label].name} holds {held.shown}{space}")
    if wrong and len(wrong) == len(unread) and all(problem.retry_helps for problem in unread):
        raise StoresUnread(
            webhook.id,
            f"every store was updated to Featurebase's secret ({current.fingerprint}), but not all stores can be "
            f"read now to compare them: {'; '.join(wrong)}. A retry compares again",
        )
    if wrong:
        raise StoresDisagree(
            webhook.id,
            f"Featurebase's secret is {current.fingerprint}, but not every store is known to hold it: "
            f"{'; '.join(wrong)}. Clear their push tasks, or trigger the Dag with mode=distribute",
        )
