"""What the Dags' pages say of a rotation file."""

from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.config import RotationConfig, WebhookConfig
from featurebase_provider.dag_factory.audit import audit_doc
from featurebase_provider.dag_factory.emergency import emergency_doc
from featurebase_provider.dag_factory.texts import rotation_doc, template_safe

STORES = [
    {"type": "airflow_variable", "name": "one"},
    {"type": "object_storage", "path": "/etc/a.env", "label": "file"},
]
FACTS: dict[str, Any] = {
    "name": "production",
    "webhook_id": "507f1f77bcf86cd799439011",
    "featurebase_conn_id": "featurebase_other",
    "stores": STORES,
}


def webhook(**facts: Any) -> WebhookConfig:
    return WebhookConfig.model_validate({**FACTS, **facts})


def test_a_rotations_page_says_what_is_done_to_what() -> None:
    page = rotation_doc(webhook())
    assert "Webhook **507f1f77bcf86cd799439011**, connection `featurebase_other`. Only when triggered by hand." in page
    targets = [store.target for store in webhook().stores]
    rows = page.partition("| --- | --- | --- |\n")[2].partition("\n\n")[0].replace("\\", "").splitlines()
    assert rows == [
        f"| airflow_variable | airflow_variable | {targets[0]} |",
        f"| file | object_storage | {targets[1]} |",
    ]
    assert "\n\nNo probe is configured. Deliveries are watched for up to 15 minutes afterwards.\n" in page


def test_a_rotations_page_follows_the_file() -> None:
    page = rotation_doc(
        webhook(
            webhook_id=None,
            webhook_name="Hooks",
            schedule="0 6 1 * *",
            timezone="Europe/Tallinn",
            probe=True,
            verify={"timeout": "PT30M"},
        )
    )
    assert "Webhook **named Hooks**" in page
    assert "On schedule `0 6 1 * *` (Europe\\/Tallinn)." in page
    assert (
        "\n\nThe receiver must accept a signed test event before and after the refresh. Deliveries are watched for up "
        "to 30 " in page
    )


@pytest.mark.parametrize(
    ("audit", "says"),
    [
        ({}, ["* Ignored kinds of findings: none.", "* It does not trigger the Dags"]),
        (
            {"heal": True, "ignore": ["webhook_unconfigured", "key_refused"]},
            ["* Ignored kinds of findings: `webhook_unconfigured`, `key_refused`.", "* It triggers the Dags"],
        ),
    ],
)
def test_the_audits_page(audit: dict[str, Any], says: list[str]) -> None:
    two = webhook(name="other", webhook_id="5" * 24)
    config = RotationConfig.model_validate({"path": "x", "webhooks": (webhook(), two), "audit": audit})
    page = audit_doc(config)
    assert page.startswith("### Compares 2 webhooks and 4 stores with Featurebase\n")
    assert [line for line in says if line not in page] == []


def test_the_emergencys_page_lists_every_webhook() -> None:
    page = emergency_doc([webhook(), webhook(name="other", webhook_id=None, webhook_name="A hook")], {})
    rows = page.partition("| --- | --- | --- |\n")[2].partition("\n\n")[0].splitlines()
    assert rows == [
        "| production | 507f1f77bcf86cd799439011 | airflow\\_variable\\, file |",
        "| other | named A hook | airflow\\_variable\\, file |",
    ]


PAIR: dict[str, Any] = {
    "webhook_id": None,
    "webhook_ids": ["5" * 24, "6" * 24],
    "strategy": "overlap",
    "probe": True,
    "stores": [{"type": "object_storage", "path": "/etc/a_b.env", "key": "A", "previous_key": "B", "label": "fi_le"}],
}


def test_a_pairs_page_says_what_is_safe_and_how_to_go_back() -> None:
    page = rotation_doc(webhook(**PAIR, previous_for="PT10H"))
    assert f"Webhooks **{'5' * 24} and {'6' * 24}**, connection `featurebase_other`" in page
    assert "| fi\\_le | object\\_storage |" in page
    assert "invalidates the old one" not in page
    for task_id in ("preflight", "rotate", "push.<store>", "distributed", "probe", "activate", "cut_over"):
        assert f"| `{task_id}` |" in page
    assert "mode `revert`" in page
    assert "for 10 hours after" in page


def test_other_pages_name_both_webhooks_of_a_pair() -> None:
    assert f"| production | {'5' * 24} and {'6' * 24} |" in emergency_doc([webhook(**PAIR)], {})
    config = RotationConfig.model_validate({"path": "x", "webhooks": (webhook(**PAIR),)})
    assert audit_doc(config).startswith("### Compares 2 webhooks and 1 stores")


def test_only_what_looks_like_a_template_is_spelled_out() -> None:
    """In the file's own letters where they are harmless, so that a rendered field can be read."""
    assert template_safe("a {b} 50%") == "a {b} 50%"
    assert template_safe("Ä {{ X }}") == "{{ 'Ä \\U0000007b\\U0000007b X \\U0000007d\\U0000007d' }}"
