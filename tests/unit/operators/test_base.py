from __future__ import annotations

import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.config import ConfigError
from featurebase_provider.featurebase.errors import ApiUnavailable, FeaturebaseError, WebhookNotFound
from featurebase_provider.operators.assets import EVENTS, plan_asset, report_asset, secret_asset
from featurebase_provider.operators.base import FeaturebaseOperator, task_errors
from featurebase_provider.operators.stores import resolve_stores
from featurebase_provider.rotation.errors import (
    HALF_DELETED,
    PlanRefused,
    StoreForeignValue,
    StoresNotReady,
    StoreUnreachable,
)
from featurebase_provider.stores.airflow_variable import AirflowVariableStore

FINAL = [
    WebhookNotFound("GET", "/v2/webhooks/5", 404),
    PlanRefused("5", "no"),
    StoreForeignValue("file", "not ours"),
]
PASSING = [
    ApiUnavailable("GET", "/v2/webhooks/5", 503),
    StoresNotReady("5", "not yet"),
    StoreUnreachable("file", "no answer"),
]


@pytest.mark.parametrize("error", FINAL, ids=lambda error: type(error).__name__)
def test_what_no_retry_can_mend_ends_the_task(error: FeaturebaseError) -> None:
    """Airflow retries everything but its own final error; the words and the cause stay."""
    with pytest.raises(AirflowFailException) as caught, task_errors():
        raise error
    assert str(caught.value) == str(error)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_retried(error: FeaturebaseError) -> None:
    with pytest.raises(type(error)) as caught, task_errors():
        raise error
    assert caught.value is error


def test_a_task_before_the_refresh_says_that_nothing_was_changed() -> None:
    with pytest.raises(AirflowFailException, match="Nothing was changed; check the webhook's id"), task_errors():
        raise WebhookNotFound("GET", "/v2/webhooks/5", 404)


def test_a_task_after_the_refresh_says_what_state_things_are_in() -> None:
    """There "nothing was changed" would be read as "the old secret still holds"."""
    with pytest.raises(AirflowFailException) as caught, task_errors("The stores hold the new secret"):
        raise WebhookNotFound("GET", "/v2/webhooks/5", 404)
    assert "The stores hold the new secret; check the webhook's id" in str(caught.value)
    with pytest.raises(StoreUnreachable) as unreachable, task_errors("A refresh can't be undone"):
        raise StoreUnreachable("file", "no answer", "A retry reads first")
    assert str(unreachable.value) == "store file: no answer. A refresh can't be undone. A retry reads first"


def test_a_task_of_a_pair_does_not_send_anybody_to_remove_both_webhooks() -> None:
    with pytest.raises(AirflowFailException) as caught, task_errors("", HALF_DELETED):
        raise WebhookNotFound("GET", "/v2/webhooks/5", 404)
    assert str(caught.value).endswith(f"If the webhook was deleted, {HALF_DELETED}.")


def test_other_errors_pass_untouched() -> None:
    """A bug is no verdict: Airflow retries it, and shows it as it is."""
    with pytest.raises(ZeroDivisionError), task_errors():
        _ = 1 / 0


def test_assets_of_a_webhook() -> None:
    """Name and URI are what other Dags are scheduled on."""
    uris = [asset("production").uri for asset in (plan_asset, secret_asset, report_asset)]
    assert uris == [
        "featurebase://webhooks/production/plan",
        "featurebase://webhooks/production/signing-secret",
        "featurebase://webhooks/production/rotation-report",
    ]
    assert secret_asset("production").name == uris[1]


def test_what_is_ours_is_in_one_group_of_assets() -> None:
    """The alias through which tasks emit events too; both names are public."""
    assert EVENTS.name == "featurebase://events"
    assert {EVENTS.group, *(asset("a").group for asset in (plan_asset, secret_asset, report_asset))} == {"featurebase"}


def test_an_asset_is_made_without_the_handlers_of_other_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow would load all of them, boto3 with the amazon one's, each time that a Dag file is parsed."""
    asked: list[str] = []
    monkeypatch.setattr("airflow.sdk.definitions.asset._get_uri_normalizer", asked.append)
    secret_asset("production")
    assert asked == []


def test_stores_may_be_mappings() -> None:
    """A mapping means what it means in the rotation file; a store stays itself, and labels stay apart."""
    store = AirflowVariableStore(name="one", label="first")
    stores = resolve_stores([store, {"type": "airflow_variable", "name": "two"}])
    assert stores[0] is store
    assert [one.label for one in stores] == ["first", "airflow_variable"]


def test_wrong_mapping_names_the_field() -> None:
    with pytest.raises(ConfigError, match="airflow_variable"):
        resolve_stores([{"type": "carrier_pigeon"}])


@pytest.mark.parametrize(
    ("dashboard_url", "link"),
    [
        (None, ""),
        ("https://acme.featurebase.app/webhooks/{webhook_id}", "https://acme.featurebase.app/webhooks/5a"),
        ("https://acme.featurebase.app/webhooks", "https://acme.featurebase.app/webhooks"),
    ],
)
def test_link_to_the_dashboard(dashboard_url: str | None, link: str) -> None:
    """Each operator has it, under this name."""
    operator = FeaturebaseOperator(task_id="t", webhook_id="5a", dashboard_url=dashboard_url)
    (button,) = operator.operator_extra_links
    assert button.name == "Webhook in Featurebase"
    assert button.get_link(operator, ti_key=None) == link  # type: ignore[arg-type]


def test_display_name() -> None:
    """The name in the rotation file, or the id for operators that work alone."""
    assert FeaturebaseOperator(task_id="t", webhook_id="5a").display_name == "5a"
    assert FeaturebaseOperator(task_id="t", webhook_id="5a", webhook="production").display_name == "production"
