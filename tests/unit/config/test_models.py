"""The models in Python, for own Dags: they check what the file's reader checks."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from featurebase_provider.config import ProbeConfig, WebhookConfig
from featurebase_provider.stores.airflow_variable import AirflowVariableStore

ID = "507f1f77bcf86cd799439011"


def variable(name: str, **fields: object) -> AirflowVariableStore:
    return AirflowVariableStore.model_validate({"name": name, **fields})


def test_stores_and_settings_may_be_objects():
    """Store objects and mappings can be mixed; durations may be timedeltas or text."""
    store = variable("a")
    webhook = WebhookConfig(
        name="a",
        webhook_id=ID,
        stores=(store, {"type": "airflow_variable", "name": "b"}),  # type: ignore[arg-type]
        probe=ProbeConfig(timeout=timedelta(minutes=1)),
        max_age="P30D",  # type: ignore[arg-type]
        start_date=date(2026, 5, 1),
    )
    assert webhook.stores[0] is store
    assert [entry.label for entry in webhook.stores] == ["airflow_variable", "airflow_variable_2"]
    assert (webhook.max_age, webhook.start_date) == (timedelta(days=30), date(2026, 5, 1))


def test_what_does_not_agree_is_refused_all_at_once():
    """Every contradiction has its place, as in the file."""
    with pytest.raises(ValidationError) as caught:
        WebhookConfig(
            name="a",
            stores=(variable("a", label="x"), variable("a", label="x")),
            reactivate=True,
            max_age=timedelta(hours=1),
        )
    errors = caught.value.errors(include_input=False)
    assert [error["loc"] for error in errors] == [
        ("webhook_id",),
        ("min_age",),
        ("reactivate",),
        ("stores", 1, "label"),
        ("stores", 1),
    ]


def test_a_wrong_store_names_its_field_and_hides_its_input():
    with pytest.raises(ValidationError) as caught:
        WebhookConfig.model_validate(
            {"name": "a", "webhook_id": ID, "stores": [{"type": "airflow_variable", "nmae": "hunter2"}]}
        )
    assert {error["loc"] for error in caught.value.errors()} >= {("stores", 0, "name"), ("stores", 0, "nmae")}
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("values", [None, 5, [], {"stores": 5}])
def test_what_is_no_webhook_is_a_validation_error(values):
    with pytest.raises(ValidationError):
        WebhookConfig.model_validate(values)


def test_a_webhook_cannot_be_changed():
    webhook = WebhookConfig(name="a", webhook_id=ID, stores=(variable("a"),))
    with pytest.raises(ValidationError, match="frozen"):
        webhook.name = "b"  # type: ignore[misc]


def test_a_day_is_no_point_in_time():
    from datetime import datetime, timezone

    with pytest.raises(ValidationError, match="must be a date"):
        WebhookConfig(
            name="a", webhook_id=ID, stores=(variable("a"),), start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)
        )
