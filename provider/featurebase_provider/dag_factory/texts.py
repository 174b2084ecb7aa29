"""What the Dags' pages say; texts from Featurebase and the rotation file are escaped there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featurebase_provider.config import WebhookConfig


def markdown_safe(text: str) -> str:
    """Escape a text for Airflow's Markdown, which renders HTML too."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~&])", r"\\\1", clean)


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
