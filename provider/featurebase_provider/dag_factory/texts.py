"""The texts of the Dags' pages. Texts from Featurebase and the rotation file are escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.text import markdown_safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.config import RotationConfig, WebhookConfig


def template_safe(text: str) -> str:
    """A Jinja template that renders to exactly this text, even if the text looks like Jinja itself."""
    if text.isprintable() and not re.search(r"\{[{%#]", text):
        return text
    literal = "".join(f"\\U{ord(char):08x}" if char in "\\'{}%#" or not char.isprintable() else char for char in text)
    return "{{ '" + literal + "' }}"


def rotation_doc(config: WebhookConfig) -> str:
    """What the Dag changes and where, for whoever is about to trigger it."""
    stores = "\n".join(
        f"| {markdown_safe(store.label)} | {markdown_safe(store.type)} | {markdown_safe(store.target)} |"
        for store in config.stores
    )
    if config.webhook_ids is not None:
        return _pair_doc(config, stores, _when(config))
    return _single_doc(config, stores, _when(config))


def which(config: WebhookConfig) -> str:
    """Names the webhook of an entry, or both of a pair."""
    return " and ".join(config.webhook_ids or ()) or config.webhook_id or f"named {config.webhook_name}"


def _when(config: WebhookConfig) -> str:
    return (
        f"On schedule `{config.schedule}` ({markdown_safe(config.timezone)})"
        if config.schedule
        else "Only when triggered by hand"
    )


def _single_doc(config: WebhookConfig, stores: str, when: str) -> str:
    probe = (
        "The receiver must accept a signed test event before and after the refresh."
        if config.probe
        else "No probe is configured."
    )
    return f"""### Rotates the signing secret of one Featurebase webhook

Webhook **{markdown_safe(which(config))}**, connection `{config.featurebase_conn_id}`. {when}.

A run **replaces the secret at Featurebase, which invalidates the old one at once and for good**, and writes the new one
to these stores and nowhere else:

| store | type | target |
| --- | --- | --- |
{stores}

{probe} Deliveries are watched for up to {int(config.verify.timeout.total_seconds() // 60)} minutes afterwards.

* **It failed before `rotate`?** Nothing was changed. Fix what the log names and trigger the Dag again.
* **It failed at or after `rotate`?** The old secret can't be restored, so the stores must get the new one. Fix what
  the log names, then clear the failed task: every task can be run again at any time, and a run refreshes at most once.
* **Somebody rotated by hand?** Trigger the Dag with mode `distribute`: it updates the stores without refreshing.
"""


def _pair_doc(config: WebhookConfig, stores: str, when: str) -> str:
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
| `probe` | makes sure that the receiver accepts both secrets | it is removed again; deliveries go on as before |
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


def audit_doc(config: RotationConfig) -> str:
    """What the audit checks, and what a failed run means."""
    stores = sum(len(webhook.stores) for webhook in config.webhooks)
    webhooks = sum(len(webhook.webhook_ids or "1") for webhook in config.webhooks)
    ignored = ", ".join(f"`{kind}`" for kind in config.audit.ignore) or "none"
    heals = "triggers" if config.audit.heal else "does not trigger"
    return f"""### Compares {webhooks} webhooks and {stores} stores with Featurebase

Lists every webhook of each connection and reads every store; it **changes nothing**. A run fails if something needs
attention: the log of the task `findings` has a table of the findings, and what to do about each.

* Ignored kinds of findings: {ignored}.
* It {heals} the Dags of webhooks whose stores differ (`heal`), with mode `distribute`, which refreshes nothing. The
  audit's run fails even so; the next run shows whether the findings are gone.
* The report is the result of the task `audit`, and an event of the asset `featurebase://audit/report`.
"""


def emergency_doc(webhooks: Sequence[WebhookConfig], wrong: Mapping[str, str]) -> str:
    """What triggering the Dag does, for somebody in a hurry, and which entries of the rotation file are invalid."""
    rows = "\n".join(
        f"| {markdown_safe(webhook.name)} | {markdown_safe(which(webhook))} | "
        f"{markdown_safe(', '.join(store.label for store in webhook.stores))} |"
        for webhook in webhooks
    )
    left_out = "".join(
        f"* **{markdown_safe(name)} can't be rotated here**: its entry in the rotation file is invalid: "
        f"{markdown_safe(problem)}\n"
        for name, problem in wrong.items()
    )
    return f"""### A signing secret has leaked: replace it at once

Trigger this Dag with the webhooks whose secret has leaked (all by default). **Each secret is refreshed immediately: no
approval, no store checks, no waiting for other runs.** This permanently invalidates the old secret. Then the new one is
written to every store, and the previous secret is removed from the stores that keep one.

| webhook | at Featurebase | stores |
| --- | --- | --- |
{rows}

{left_out}* **One branch per webhook**; they run independently. A store that is down is retried for hours; fix it and
  the next try writes it. A store with a foreign value is never overwritten: `push` fails and names it.
* **A failed task** can be cleared at any time; a run refreshes a webhook at most once.
* A running rotation may continue: it can't bring the leaked secret back.
* `summary` shows all webhooks in one table, and fails unless all of them are done.
"""
