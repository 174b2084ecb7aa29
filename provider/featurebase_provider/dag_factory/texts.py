"""What the Dags' pages say; texts from Featurebase and the rotation file are escaped there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.config import RotationConfig, WebhookConfig


def markdown_safe(text: str) -> str:
    """Escape a text for Airflow's Markdown, which renders HTML too: every ASCII punctuation mark (CommonMark, 2.4)."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", clean)


def template_safe(text: str) -> str:
    """A text as a template field that renders to just that text, whatever looks like Jinja in it."""
    if text.isprintable() and not re.search(r"\{[{%#]", text):
        return text
    literal = "".join(f"\\U{ord(char):08x}" if char in "\\'{}%#" or not char.isprintable() else char for char in text)
    return "{{ '" + literal + "' }}"


def rotation_doc(config: WebhookConfig) -> str:
    """What the Dag will do to what, for whoever is about to press the button."""
    which = config.webhook_id or f"named {config.webhook_name}"
    stores = "\n".join(
        f"| {markdown_safe(store.label)} | {markdown_safe(store.type)} | {markdown_safe(store.target)} |"
        for store in config.stores
    )
    probe = (
        "The receiver must accept a signed test event before and after." if config.probe else "No probe is configured."
    )
    when = (
        f"On schedule `{config.schedule}` ({markdown_safe(config.timezone)})"
        if config.schedule
        else "Only when triggered by hand"
    )
    return f"""### Rotates the signing secret of one Featurebase webhook

Webhook **{markdown_safe(which)}**, connection `{config.featurebase_conn_id}`. {when}.

A run **replaces the secret at Featurebase, which invalidates the old one at once and for good**, and writes the new one
to these stores and nowhere else:

| store | type | target |
| --- | --- | --- |
{stores}

{probe} Deliveries are watched for up to {int(config.verify.timeout.total_seconds() // 60)} minutes afterwards.

* **It failed before `rotate`?** Nothing was changed. Mend what the log names and trigger again.
* **It failed at or after `rotate`?** There is no way back to the old secret; the way out is forward. Clear the failed
  task: every task can be run again at any time, and a run refreshes at most once.
* **Somebody rotated by hand?** Trigger with mode `distribute`.
"""


def audit_doc(config: RotationConfig) -> str:
    """What the audit looks at, and what a failed run means."""
    stores = sum(len(webhook.stores) for webhook in config.webhooks)
    ignored = ", ".join(f"`{kind}`" for kind in config.audit.ignore) or "none"
    heals = "triggers" if config.audit.heal else "does not trigger"
    return f"""### Compares {len(config.webhooks)} webhooks and {stores} stores with Featurebase

Lists every webhook of each connection and reads every store; **writes nothing** anywhere. A failed run means that
somebody has to look after something: the task `findings` names it, with a table and what to do in its log.

* Ignored kinds of findings: {ignored}.
* It {heals} the Dags of webhooks whose stores differ (`heal`), with mode `distribute`, which refreshes nothing. The run
  that healed is failed all the same; the next one shows whether all is well.
* The report is the result of the task `audit`, and an event of the asset `featurebase://audit/report`.
"""


def emergency_doc(webhooks: Sequence[WebhookConfig], wrong: Mapping[str, str]) -> str:
    """What pressing the button does, for somebody in a hurry, and which entries of the rotation file it can't help."""
    rows = "\n".join(
        f"| {markdown_safe(one.name)} | {markdown_safe(one.webhook_id or f'named {one.webhook_name}')} | "
        f"{markdown_safe(', '.join(store.label for store in one.stores))} |"
        for one in webhooks
    )
    left_out = "".join(
        f"* **{markdown_safe(name)} can't be rotated here**, its entry in the rotation file is wrong: "
        f"{markdown_safe(problem)}\n"
        for name, problem in wrong.items()
    )
    return f"""### A signing secret has leaked: replace it at once

Trigger this Dag with the webhooks whose secret has leaked (all by default). **Each secret is refreshed at once, without
approval and without any check beforehand**, which invalidates the old one for good; then it is written to every store,
and the previous secret is removed from the stores that keep one.

| webhook | at Featurebase | stores |
| --- | --- | --- |
{rows}

{left_out}* **One branch per webhook**, none waits for another. A store that is down is retried for hours; mend it and
  the next try writes it. A store with a foreign value is never overwritten: `push` fails and names it.
* **A failed task** can be cleared at any time; a run refreshes a webhook at most once.
* A rotation that is under way may go on: it can't bring the leaked secret back.
* `summary` shows all webhooks in one table, and fails unless every one is done.
"""
