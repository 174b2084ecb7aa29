from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreRefused, StoresDisagree, StoresUnread, StoreUnreachable
from featurebase_provider.sensors.verdict import compare_stores
from featurebase_provider.sensors.webhook_delivery_health import WebhookDeliveryHealthSensor
from tests.world.fakes import WEBHOOK_ID, MemoryStore, a_webhook, failing, fingerprint, secret

SILENT = StoreUnreachable("a", "no answer", "A retry reads again")


def comparing(*stores: Any) -> None:
    """Compare stores with a webhook whose secret is whsec_1."""
    sensor = WebhookDeliveryHealthSensor(task_id="verify", webhook_id=WEBHOOK_ID)
    compare_stores(stores, a_webhook("whsec_1"), sensor.is_held, say=sensor.log.info)


def holding(value: str, *reads: Exception, label: str = "a") -> MemoryStore:
    """A store with this value, whose next reads fail."""
    store = MemoryStore(label=label, value=secret(value))
    store.read_script.extend(failing(error) for error in reads)
    return store


def test_stores_that_agree() -> None:
    comparing(holding("1"), holding("1", label="b"))


def test_white_space_is_told_from_another_secret() -> None:
    with pytest.raises(StoresDisagree, match="which differs only in white space"):
        comparing(MemoryStore(value=SigningSecret(f"{secret('1').reveal()} ")))
    with pytest.raises(StoresDisagree) as caught:
        comparing(holding("0"))
    assert "white space" not in str(caught.value)


def test_a_store_that_does_not_answer_is_compared_again() -> None:
    """It was pushed, so nothing says that it is wrong: Airflow's retry asks again."""
    with pytest.raises(StoresUnread, match=f"{WEBHOOK_ID}: .*no answer") as caught:
        comparing(holding("1", SILENT), holding("1", label="b"))
    for text in ("A retry compares again", fingerprint("1")):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [holding("0", label="b"), holding("1", StoreRefused("b", "may not be read", "Allow it"), label="b")],
    ids=["holds another", "refuses"],
)
def test_a_store_that_no_retry_mends_is_named_beside_it(other: MemoryStore) -> None:
    with pytest.raises(StoresDisagree, match=f"{WEBHOOK_ID}: .*mode=distribute") as caught:
        comparing(holding("1", SILENT), other)
    assert "no answer" in str(caught.value)
