"""What two entries of one file may not share."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from featurebase_provider.config import WebhookConfig


def two(first: str, second: str) -> str:
    return f"""webhooks:
  - name: a
    webhook_id: 507f1f77bcf86cd799439011
    stores:
      - {{type: airflow_variable, name: a}}
    {first}
  - name: b
    webhook_id: 507f1f77bcf86cd799439012
    stores:
      - {{type: airflow_variable, name: b}}
    {second}
"""


def test_one_name_twice_names_both_places(faults):
    text = two("owner: x", "owner: x").replace("name: b\n    webhook", "name: a\n    webhook")
    assert faults(text) == [(7, "webhooks[1].name", '"a" would name the same Dag as webhooks[0].name (line 2)')]


def test_one_webhook_twice_is_seen_in_any_case_of_its_id(faults):
    text = two("owner: x", "owner: x").replace("507f1f77bcf86cd799439012", "507F1F77bcf86cd799439011")
    assert faults(text) == [
        (
            8,
            "webhooks[1].webhook_id",
            '"507F1F77bcf86cd799439011" is the same webhook as webhooks[0].webhook_id (line 3)',
        )
    ]


def test_one_id_behind_two_connections_is_two_webhooks(load):
    text = two("owner: x", "featurebase_conn_id: other").replace("9012", "9011")
    assert len(load(text).webhooks) == 2


def test_one_webhook_name_twice(faults):
    text = two("owner: x", "owner: x")
    text = text.replace("webhook_id: 507f1f77bcf86cd799439011", "webhook_name: Same")
    text = text.replace("webhook_id: 507f1f77bcf86cd799439012", "webhook_name: Same")
    assert faults(text) == [
        (8, "webhooks[1].webhook_name", '"Same" is the same webhook as webhooks[0].webhook_name (line 3)')
    ]


def test_one_target_in_two_webhooks_and_within_one(faults):
    """The second use is the fault; the message names the first with its line."""
    text = two("owner: x", "owner: x").replace(
        "      - {type: airflow_variable, name: b}",
        "      - {type: airflow_variable, name: a}\n"
        "      - {type: object_storage, path: /etc/app/x}\n"
        "      - {type: object_storage, path: /etc/app//x, label: again}",
    )
    assert faults(text) == [
        (
            10,
            "webhooks[1].stores[0]",
            "writes to airflow-variable:a, the same target as webhooks[0].stores[0] (line 5)",
        ),
        (
            12,
            "webhooks[1].stores[2]",
            "writes to file:///etc/app/x, the same target as webhooks[1].stores[1] (line 11)",
        ),
    ]


def test_repeats_are_seen_beside_other_faults(faults):
    """A webhook that is wrong elsewhere still counts."""
    found = faults(two("owner: 1", "retries: no").replace("name: b}", "name: a}").replace("9012", "9011"))
    assert [field for _, field, _ in found] == [
        "webhooks[0].owner",
        "webhooks[1].webhook_id",
        "webhooks[1].stores[0]",
        "webhooks[1].retries",
    ]


def test_one_label_twice_within_a_webhook(faults):
    text = two("owner: x", "owner: x").replace(
        "{type: airflow_variable, name: b}",
        "{type: airflow_variable, name: b, label: same}\n"
        "      - {type: airflow_variable}\n"
        "      - {type: airflow_variable, name: c, label: same}",
    )
    assert [(line, field) for line, field, _ in faults(text)] == [
        (11, "webhooks[1].stores[1].name"),
        (12, "webhooks[1].stores[2].label"),
    ]


def test_two_webhooks_may_use_one_label(load):
    webhooks = load(two("owner: x", "owner: x")).webhooks
    assert [store.label for webhook in webhooks for store in webhook.stores] == ["airflow_variable"] * 2


def test_a_right_store_beside_a_wrong_one_makes_no_webhook(faults):
    """The fault names the wrong store by its number in the file."""
    text = two("owner: x", "owner: x").replace(
        "{type: airflow_variable, name: b}", "{type: airflow_variable, name: b}\n      - {type: nothing}"
    )
    assert [(line, field) for line, field, _ in faults(text)] == [(11, "webhooks[1].stores[1].type")]


def stores(*entries: dict[str, object]) -> str:
    return "webhooks:" + "".join(
        f"""
  - name: w{number}
    webhook_id: 507f1f77bcf86cd79943901{number}
    stores: [{json.dumps(entry)}]"""
        for number, entry in enumerate(entries)
    )


FILE = {"type": "object_storage"}
KEPT = {**FILE, "path": "/etc/app.env", "key": "A", "previous_key": "B"}
SECRET = {"type": "kubernetes_secret", "conn_id": "k", "namespace": "n", "name": "s"}
HASH = {"type": "redis", "key": "k"}


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            KEPT,
            {**FILE, "path": "/etc/app.env", "key": "B"},
            "writes to file:///etc/app.env#B, where the previous secret is kept by",
        ),
        (
            {**FILE, "path": "/etc/app.env", "key": "B"},
            KEPT,
            "keeps the previous secret in file:///etc/app.env#B, the target of",
        ),
        (
            {**FILE, "path": "/etc/a.json", "key": "one"},
            {**FILE, "path": "/etc/a.json", "key": "two"},
            "keeps the previous secret in file:///etc/a.json#previous, as does",
        ),
        (
            {**HASH, "previous_key": "old"},
            {"type": "redis", "key": "old"},
            "writes to redis://redis_default/old, where the previous secret is kept by",
        ),
        (
            {**FILE, "path": "/etc/a", "format": "raw"},
            {**FILE, "path": "/etc/a", "format": "dotenv"},
            "writes to file:///etc/a#FEATUREBASE_WEBHOOK_SECRET, a part of file:///etc/a, which is written by",
        ),
        (
            {**SECRET, "key": "a.b"},
            {**SECRET, "key": "a.b", "format": "json", "entry": "c"},
            "writes to kubernetes://k@n/s#a.b#c, a part of kubernetes://k@n/s#a.b, which is written by",
        ),
        (
            {**FILE, "path": "/etc/a.yml", "key": "a.b"},
            {**FILE, "path": "/etc/a.yml", "key": "a"},
            "writes to file:///etc/a.yml#a, of which file:///etc/a.yml#a.b is a part, which is written by",
        ),
        (
            {**FILE, "path": "/etc/a", "format": "json", "key": "a"},
            {**FILE, "path": "/etc/a", "format": "yaml", "key": "b"},
            "takes file:///etc/a for yaml, and another format is named by",
        ),
        (
            {**FILE, "path": "//etc/a"},
            {**FILE, "path": "file:///etc/./a"},
            "writes to file:///etc/a, the same target as",
        ),
    ],
)
def test_places_that_one_write_would_take_from_another(faults, first, second, message):
    """The previous secret of one over the current of another, a text over its parts, a key over an object."""
    assert faults(stores(first, second)) == [(7, "webhooks[1].stores[0]", f"{message} webhooks[0].stores[0] (line 4)")]


def test_within_one_webhook_too():
    with pytest.raises(ValidationError, match=r"keeps the previous secret in .*#B, the target of stores\[0\]"):
        WebhookConfig(
            name="a",
            webhook_id="507f1f77bcf86cd799439011",
            stores=[{**FILE, "path": "/etc/app.env", "key": "B"}, {**KEPT, "label": "other"}],
        )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (KEPT, {**FILE, "path": "/etc/app.env", "key": "C"}),
        ({**FILE, "path": "/a.properties", "key": "a"}, {**FILE, "path": "/a.properties", "key": "a.b"}),
        ({**FILE, "path": "/a.yml", "key": "a.b"}, {**FILE, "path": "/a.yml", "key": "a.bc"}),
        ({**SECRET, "key": "app"}, {**SECRET, "key": "app.json", "format": "json", "entry": "a"}),
        ({**FILE, "path": "/etc/a"}, {**FILE, "path": "/etc/a.json"}),
    ],
)
def test_neighbours_in_one_place_may_be_written_beside_one_another(load, first, second):
    assert len(load(stores(first, second)).webhooks) == 2
