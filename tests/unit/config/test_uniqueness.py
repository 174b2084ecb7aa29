"""What two entries of one file may not share."""

from __future__ import annotations


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
