"""A credential in the file is refused, and its text is never repeated."""

from __future__ import annotations

import pytest

from featurebase_provider.config import ConfigError
from featurebase_provider.config.errors import is_credential, names_credential

SECRETS = [
    "sk_live_4f9a8b7c6d",
    "whsec_abc123def456",
    "  whsec_abc123def456",
    "Bearer sk_live_4f9a8b7c6d",
    "SK_live_4f9a8b7c6d",
    "https://user:4f9a8b7c6d@example.com/x",
    "redis://:4f9a8b7c6d@localhost/0",
]


@pytest.mark.parametrize("value", SECRETS)
@pytest.mark.parametrize(
    "line",
    [
        "webhook_name: '{}'",
        "owner: '{}'",
        "tags: ['{}']",
        "timezone: '{}'",
        "schedule: '{}'",
        "start_date: '{}'",
        "max_age: '{}'",
        "featurebase_conn_id: '{}'",
        "dashboard_url: '{}'",
        "probe: {{allow_hosts: ['{}']}}",
        "probe: {{body: {{x: [{{y: '{}'}}]}}}}",
        "unknown: '{}'",
        "'{}': 1",
        "probe: {{'{}': 1}}",
        "retries: '{}'",
        "verify: '{}'",
        "name: '{}'",
        "? ['{}']\n    : 1",
    ],
)
def test_a_credential_is_refused_and_not_echoed(load, one_webhook, value, line):
    """Wherever it stands, as value or key, in a known field or not."""
    text = one_webhook(line.format(value))
    if line.startswith(("name", "webhook_name")):
        field = line.partition(":")[0]
        text = text.replace("name: production\n", "" if field == "name" else "name: production\n")
        text = text.replace("    webhook_id: 507f1f77bcf86cd799439011\n", "").replace("  - ", "  -\n    ")
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "4f9a8b7c6d" not in f"{caught.value}{caught.value!r}"
    assert "abc123def456" not in f"{caught.value}{caught.value!r}"


def test_a_credential_is_the_only_fault_of_its_field(faults, one_webhook):
    """It says where credentials belong and that this one is to be replaced."""
    ((line, field, message),) = faults(one_webhook("timezone: sk_live_4f9a8b7c6d"))
    assert (line, field) == (5, "webhooks[0].timezone")
    assert "looks like a credential" in message
    assert "Airflow connection's password field" in message


@pytest.mark.parametrize("name", ["api_key", "apikey", "password", "token", "client_secret", "secret", "private-key"])
def test_a_field_for_a_credential_is_sent_to_the_connection(faults, one_webhook, name):
    for text, where in (
        (one_webhook(f"{name}: hunter2"), "webhooks[0]."),
        (f"{name}: hunter2\n" + one_webhook(), ""),
        (f"defaults: {{{name}: hunter2}}\n" + one_webhook(), "defaults."),
        (one_webhook().replace("name: signing", f"name: signing, {name}: hunter2"), "webhooks[0].stores[0]."),
    ):
        ((_, field, message),) = faults(text)
        assert field == f"{where}{name}"
        assert "Credentials must not be in this file" in message
        assert "hunter2" not in message


def test_a_credential_glued_to_a_name_is_not_repeated(faults, one_webhook):
    """A paste that went astray; a name that only has ``sk_`` within is said as it is."""
    ((_, field, _),) = faults("dsk_live_4f9a8b7c6defaults: {}\n" + one_webhook())
    assert field == "?"
    ((_, field, _),) = faults("task_name: x\n" + one_webhook())
    assert field == "task_name"


def test_escaped_control_characters_are_refused(faults, one_webhook):
    """A NUL or a bell that came in as an escape is found wherever the field would accept text."""
    assert faults(one_webhook(r'owner: "a\0b"', r'tags: ["\a"]')) == [
        (5, "webhooks[0].owner", "the text contains a control character or an invalid one"),
        (6, "webhooks[0].tags[0]", "the text contains a control character or an invalid one"),
    ]


@pytest.mark.parametrize(
    "value", ["featurebase_signing_secret", "risk_team", "https://acme.featurebase.app/a@b", "a whsec_ prefix", "sk-1"]
)
def test_ordinary_texts_are_no_credentials(value):
    assert not is_credential(value)


@pytest.mark.parametrize("name", ["key", "name", "conn_id", "previous_key", "owner", "allow_hosts", "tags", "passive"])
def test_ordinary_fields_name_no_credential(name):
    assert not names_credential(name)
