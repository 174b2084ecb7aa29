"""The text of a rotation Dag's page. Texts from Featurebase and the rotation file are escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from featurebase_provider.dag_factory.settings import which
from featurebase_provider.featurebase.text import markdown_safe

if TYPE_CHECKING:
    from featurebase_provider.config import WebhookConfig


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
        from featurebase_provider.dag_factory.pair_text import pair_doc  # only files with a pair load it

        return pair_doc(config, stores, _when(config))
    return _single_doc(config, stores, _when(config))


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
