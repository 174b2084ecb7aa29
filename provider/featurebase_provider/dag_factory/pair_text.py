"""The text of the page of a pair's Dag. Texts from Featurebase and the rotation file are escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.dag_factory.settings import which
from featurebase_provider.featurebase.text import markdown_safe

if TYPE_CHECKING:
    from featurebase_provider.config import WebhookConfig


def pair_doc(config: WebhookConfig, stores: str, when: str) -> str:
    """What the Dag changes and where.

    :param stores: rows of the table of stores.
    :param when: when it runs, as a sentence's beginning.
    """
    hours = config.previous_for.total_seconds() / 3600
    return f"""### Rotates the signing secret of a pair of Featurebase webhooks

Webhooks **{markdown_safe(which(config))}**, connection `{config.featurebase_conn_id}`. {when}.

One webhook is active and delivers; the other one is paused. A run refreshes the secret of the **paused** one, so no
delivery is refused. It writes both secrets to these stores and nowhere else, then moves the deliveries:

| store | type | target |
| --- | --- | --- |
{stores}

| task | what it does | if it fails |
| --- | --- | --- |
| `preflight` | checks both webhooks, every store and the receiver | nothing was changed |
| `rotate` | refreshes the paused webhook, and writes its secret beside the live one's | deliveries go on as before |
| `push.<store>` | makes sure that the store holds both secrets | deliveries go on as before |
| `distributed` | announces that the stores hold both | deliveries go on as before |
| `probe` | makes sure that the receiver accepts both secrets | the last try removes it again; nothing has moved |
| `activate` | sets the refreshed webhook active: each event now arrives twice | its message says which is active |
| `cut_over` | waits for a delivery of it, then pauses the old one | its message says which is active |
| `verify_delivery` | watches the deliveries of the webhook that is live now | read the message, and fix the receiver |

* **Clearing a task is always safe.** A run refreshes at most once, and goes on from what Featurebase shows.
* **Both webhooks are active?** Trigger the Dag with mode `distribute`: it finishes what a run began.
* **The new webhook makes trouble?** Trigger the Dag with mode `revert`: the deliveries go back to the other webhook,
  whose secret is still valid. This works for {hours:g} hours after a webhook was paused.
* **After that** the stores forget the old secret: the audit with `heal`, or mode `distribute`, sees to it, first in one
  place of each store and {hours:g} hours later in the other.
"""
