"""Entries that name a pair of webhooks, ``strategy: overlap``: what they need, and what is said if it is missing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from featurebase_provider.config import OverlapConfig, ProbeConfig, WebhookConfig
from featurebase_provider.stores.registry import BUILT_IN, store_class

FIRST, SECOND, THIRD = (f"507f1f77bcf86cd79943901{digit}" for digit in "123")
STORE = {"type": "airflow_variable", "name": "signing_secrets", "format": "json"}


def pair(*lines: str, **replaced: str | None) -> str:
    """A file with one pair that is right; ``replaced`` fields are written so, or left out (None)."""
    fields: dict[str, str | None] = {
        "strategy": "overlap",
        "webhook_ids": f"[{FIRST}, {SECOND}]",
        "probe": "true",
        "stores": "[{type: airflow_variable, name: signing_secrets, format: json}]",
        **replaced,
    }
    body = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "webhooks:\n  - name: production\n" + "".join(f"    {line}\n" for line in (*body, *lines))


def in_python(**fields: object) -> WebhookConfig:
    right = {"name": "a", "strategy": "overlap", "webhook_ids": [FIRST, SECOND], "probe": True, "stores": [STORE]}
    return WebhookConfig.model_validate({**right, **fields})


def test_a_pair_with_its_defaults(load):
    (webhook,) = load(pair(webhook_ids=f"[{FIRST.upper()}, {SECOND}]")).webhooks
    assert (webhook.strategy, webhook.webhook_ids, webhook.webhook_id) == ("overlap", (FIRST, SECOND), None)
    assert webhook.overlap == OverlapConfig(first_delivery=timedelta(minutes=5), pending=timedelta(hours=1))
    assert webhook.dag_id == "featurebase_rotate__production"


def test_a_single_webhook_stays_as_it_was(load, one_webhook):
    (webhook,) = load(one_webhook("probe: true")).webhooks
    assert (webhook.strategy, webhook.webhook_ids) == ("refresh", None)
    assert webhook.probe == ProbeConfig()


@pytest.mark.parametrize("probe", ["true", "{}", "{timeout: PT10M}", "{interval: PT1S}"])
def test_the_probe_of_a_pair_is_steadier(load, probe):
    """Wherever the probe is switched on, and however much of it is set."""
    for text in (pair(probe=probe), f"defaults: {{probe: {probe}}}\n{pair(probe=None)}"):
        (webhook,) = load(text).webhooks
        assert webhook.probe is not None
        assert (webhook.probe.steady, webhook.probe.successes) == (timedelta(minutes=2), 30)
        options = webhook.probe.options
        assert (options["steady"], options["successes"]) == (120.0, 30)
        assert webhook.probe.longest == webhook.probe.timeout + timedelta(minutes=2)


def test_what_the_file_says_of_the_probe_holds(load):
    (webhook,) = load(f"defaults: {{probe: {{steady: PT5M}}}}\n{pair(probe='{successes: 60}')}").webhooks
    assert webhook.probe is not None
    assert (webhook.probe.steady, webhook.probe.successes) == (timedelta(minutes=5), 60)


def test_a_probe_made_in_python_is_steadier_too():
    given = ProbeConfig(timeout=timedelta(minutes=1))
    probe = in_python(probe=given).probe
    assert probe == ProbeConfig(timeout=timedelta(minutes=1), steady=timedelta(minutes=2), successes=30)
    assert given.steady == timedelta(seconds=10)


def test_overlap_is_merged_key_by_key(load):
    text = f"defaults: {{overlap: {{first_delivery: PT2M, pending: PT2H}}}}\n{pair('overlap: {pending: PT3H}')}"
    (webhook,) = load(text).webhooks
    assert webhook.overlap == OverlapConfig(first_delivery=timedelta(minutes=2), pending=timedelta(hours=3))


def test_defaults_of_overlap_are_for_the_pairs_of_a_file(load, one_webhook):
    text = one_webhook() + pair().removeprefix("webhooks:\n").replace("production", "b").replace(FIRST, THIRD)
    single, paired = load(f"defaults: {{overlap: {{pending: PT2H}}}}\n{text}").webhooks
    assert (single.overlap, paired.overlap.pending) == (OverlapConfig(), timedelta(hours=2))


def test_the_strategy_may_be_a_default(load):
    (webhook,) = load(f"defaults: {{strategy: overlap}}\n{pair(strategy=None)}").webhooks
    assert webhook.strategy == "overlap"


HTTP = "{type: http, url: /x, adopt: true, body: '{\"v\": {{ secret | tojson }}}'}"
READ_HTTP = HTTP.replace("adopt: true", "read: {url: /x, current: $.v}")
SQL = "{type: sql, conn_id: db, table: t, key_column: k, key_value: v, value_column: c}"
STATEMENTS = "{type: sql, conn_id: db, read_sql: 'SELECT v FROM t', write_sql: 'UPDATE t SET v = :secret'}"
VAULT = "{type: hashicorp_vault, mount: m, path: p, key: k}"
VAULT_ENTRY = "{type: hashicorp_vault, mount: m, path: p, key: k, format: json, entry: e}"
GITHUB = "{type: github_actions, repository: acme/feedback, adopt: true}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pair(webhook_ids=None), [(3, "webhooks[0].webhook_ids", "is required with strategy: overlap: the ids")]),
        (
            pair(f"webhook_id: {THIRD}", webhook_ids=None),
            [(3, "webhooks[0].webhook_ids", "instead of webhook_id or webhook_name")],
        ),
        (pair(strategy=None), [(3, "webhooks[0].strategy", "write strategy: overlap")]),
        (pair(strategy="refresh"), [(3, "webhooks[0].strategy", "write strategy: overlap")]),
        (pair(strategy="overlapping"), [(3, "webhooks[0].strategy", "must be one of 'refresh' or 'overlap'")]),
        (pair(f"webhook_id: {FIRST}"), [(7, "webhooks[0].webhook_id", "a second time; keep only webhook_ids")]),
        (pair("webhook_name: Main"), [(7, "webhooks[0].webhook_name", "a second time; keep only webhook_ids")]),
        (
            pair(webhook_ids=f"[{FIRST}, {FIRST.upper()}]"),
            [(4, "webhooks[0].webhook_ids", "names one webhook twice")],
        ),
        (pair(webhook_ids=f"[{FIRST}]"), [(4, "webhooks[0].webhook_ids[1]", "is required")]),
        (
            pair(webhook_ids=f"[{FIRST}, {SECOND}, {THIRD}]"),
            [(4, "webhooks[0].webhook_ids", "must have at most 2 entries")],
        ),
        (pair(webhook_ids=FIRST), [(4, "webhooks[0].webhook_ids", "must be a list")]),
        (pair(webhook_ids=f"[{FIRST}, main]"), [(4, "webhooks[0].webhook_ids[1]", "24 hex digits")]),
        (pair(probe=None), [(3, "webhooks[0].probe", "add probe: true")]),
        (pair(probe="false"), [(5, "webhooks[0].probe", "add probe: true")]),
        (pair(probe="{successes: 29}"), [(5, "webhooks[0].probe.successes", "must be at least 30")]),
        (
            f"defaults: {{probe: {{successes: 5}}}}\n{pair(probe='true')}",
            [(1, "defaults.probe.successes", "must be at least 30")],
        ),
        (pair("reactivate: true"), [(7, "webhooks[0].reactivate", "does not go with strategy: overlap")]),
        (pair("allow_inactive: true"), [(7, "webhooks[0].allow_inactive", "does not go with strategy: overlap")]),
        (
            f"defaults: {{allow_inactive: true}}\n{pair()}",
            [(1, "defaults.allow_inactive", "does not go with strategy: overlap")],
        ),
        (pair("previous_for: PT1H"), [(7, "webhooks[0].previous_for", "at least PT7H1M")]),
        (pair("overlap: {first_delivery: PT59S}"), [(7, "webhooks[0].overlap.first_delivery", "from PT1M to P1D")]),
        (pair("overlap: {pending: P2D}"), [(7, "webhooks[0].overlap.pending", "from PT1M to P1D")]),
        (
            pair("overlap: {pending: PT4M}"),
            [(7, "webhooks[0].overlap.pending", "must not be shorter than first_delivery")],
        ),
        (
            pair("overlap: {first_delivery: PT2H}"),
            [(7, "webhooks[0].overlap.pending", "not be shorter than first_delivery; it is PT1H by default")],
        ),
        (
            pair("overlap: {first_delivry: PT2H}"),
            [(7, "webhooks[0].overlap.first_delivry", "did you mean first_delivery?")],
        ),
        (
            pair(stores="[{type: airflow_variable, name: a}]"),
            [(6, "webhooks[0].stores[0]", "Set a format with keys, such as json, with key and previous_key")],
        ),
        (
            pair(stores="[{type: airflow_variable, name: a, format: json, previous_key: null}]"),
            [(6, "webhooks[0].stores[0]", "Set previous_key")],
        ),
        (pair(stores=f"[{VAULT}]"), [(6, "webhooks[0].stores[0]", "Set previous_key")]),
        (pair(stores=f"[{VAULT_ENTRY}]"), [(6, "webhooks[0].stores[0]", "Set previous_entry")]),
        (pair(stores=f"[{SQL}]"), [(6, "webhooks[0].stores[0]", "Set previous_column")]),
        (pair(stores=f"[{STATEMENTS}]"), [(6, "webhooks[0].stores[0]", "Set :previous in write_sql")]),
        (pair(stores="[{type: redis, key: a}]"), [(6, "webhooks[0].stores[0]", "Set previous_key")]),
        (pair(stores="[{type: redis, key: a, field: b}]"), [(6, "webhooks[0].stores[0]", "Set previous_field")]),
        (pair(stores=f"[{READ_HTTP}]"), [(6, "webhooks[0].stores[0]", "previous under read")]),
        (
            pair(stores=f"[{HTTP}]"),
            [(6, "webhooks[0].stores[0]", "can't be read back (http (http://http_default@/x))")],
        ),
        (pair(stores=f"[{GITHUB}]"), [(6, "webhooks[0].stores[0]", "can't be read back (github_actions (github://")]),
    ],
)
def test_what_is_missing_or_contradicts_is_named(faults, text, expected):
    """Each with its field and line, and nothing else is said."""
    found = faults(text)
    assert [(line, field) for line, field, _ in found] == [(line, field) for line, field, _ in expected]
    for (_, _, message), (_, _, part) in zip(found, expected, strict=True):
        assert part in message


def test_an_overlap_without_a_pair_is_an_error(faults, one_webhook):
    assert faults(one_webhook("overlap: {}")) == [(5, "webhooks[0].overlap", "has no effect without strategy: overlap")]


def test_faults_of_a_pair_stand_beside_other_faults(faults):
    """A field that is wrong says nothing about the others."""
    found = faults(pair("retries: no", stores="[{type: nothing}, {type: airflow_variable, name: a}]", probe=None))
    assert [field for _, field, _ in found] == [
        "webhooks[0].probe",
        "webhooks[0].stores[0].type",
        "webhooks[0].stores[1]",
        "webhooks[0].retries",
    ]


@pytest.mark.parametrize("type_", BUILT_IN)
def test_every_store_type_that_can_keep_two_secrets_says_how(type_):
    """Its own fields are named; only GitHub's type has none."""
    model = store_class(type_)
    has = any(name.startswith("previous_") for name in model.model_fields)
    assert has == (type_ != "github_actions")


@pytest.mark.parametrize(
    ("second", "field", "first"),
    [
        (f"strategy: overlap\n    webhook_ids: [{THIRD}, {SECOND.upper()}]", "webhook_ids[1]", "webhook_ids[1]"),
        (f"strategy: overlap\n    webhook_ids: [{SECOND}, {THIRD}]", "webhook_ids[0]", "webhook_ids[1]"),
        (f"webhook_id: {FIRST}", "webhook_id", "webhook_ids[0]"),
    ],
)
def test_a_webhook_is_in_one_entry_only(faults, second, field, first):
    other = f"""\
  - name: b
    {second}
    probe: true
    stores: [{{type: airflow_variable, name: others, format: json}}]
"""
    ((_, found, message),) = faults(pair() + other)
    assert found == f"webhooks[1].{field}"
    assert message.endswith(f"is the same webhook as webhooks[0].{first} (line 4)")


def test_a_pair_behind_two_connections_is_two_pairs(load):
    other = pair("featurebase_conn_id: other").replace("production", "b").replace("signing_secrets", "others")
    assert len(load(pair() + other.removeprefix("webhooks:\n")).webhooks) == 2


def test_the_models_in_python_refuse_the_same():
    with pytest.raises(ValidationError) as caught:
        in_python(webhook_id=THIRD, probe=None, reactivate=True, stores=[{"type": "airflow_variable", "name": "a"}])
    assert [error["loc"] for error in caught.value.errors(include_input=False)] == [
        ("webhook_id",),
        ("reactivate",),
        ("probe",),
        ("reactivate",),
        ("stores", 0),
    ]
