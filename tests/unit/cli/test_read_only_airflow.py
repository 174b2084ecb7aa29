from __future__ import annotations

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection, GetVariable, MaskSecret, PutVariable

from featurebase_provider.cli.read_only_airflow import ReadOnlyAirflow, asset_event_extras, read_only_airflow
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.airflow_variable import AirflowVariableStore


class OneSecret:
    """A secrets backend with one Variable and one connection."""

    def get_variable(self, key: str) -> str | None:
        return "whsec_theirs" if key == "signing" else None

    def get_connection(self, conn_id: str) -> object | None:
        from airflow.models import Connection

        return Connection(conn_id=conn_id, uri="redis://u:pw@h:1/s?a=b") if conn_id == "cache" else None


class Down:
    def get_variable(self, **asked: str) -> None:
        raise ConnectionError("dial s3cret@vault")

    get_connection = get_variable


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The backends that the API server would ask, here as the test fills them."""
    asked: list[object] = []
    monkeypatch.setattr("airflow.configuration.ensure_secrets_loaded", lambda: asked)
    return asked


def test_variables_and_connections_come_from_the_servers_backends(backends: list[object]) -> None:
    backends.append(OneSecret())
    channel = ReadOnlyAirflow()
    assert channel.send(GetVariable(key="signing")).value == "whsec_theirs"
    assert channel.send(GetVariable(key="other")).error is ErrorType.VARIABLE_NOT_FOUND
    found = channel.send(GetConnection(conn_id="cache"))
    assert (found.host, found.port, found.schema_, found.login, found.password) == ("h", 1, "s", "u", "pw")
    assert channel.send(GetConnection(conn_id="other")).error is ErrorType.CONNECTION_NOT_FOUND
    assert channel.unasked == {}


def test_an_outage_is_never_an_absence(backends: list[object]) -> None:
    """A backend that fails is named; another one may still have it."""
    backends.extend([Down(), OneSecret()])
    channel = ReadOnlyAirflow()
    assert channel.send(GetVariable(key="signing")).value == "whsec_theirs"
    assert channel.send(GetVariable(key="other")).error is ErrorType.API_SERVER_ERROR
    assert channel.send(GetConnection(conn_id="other")).error is ErrorType.API_SERVER_ERROR
    assert channel.unasked == {"Down": "ConnectionError"}


def test_nothing_can_be_written(backends: list[object]) -> None:
    """A store that tries all the same is refused, in words of its own."""
    assert isinstance(ReadOnlyAirflow().send(PutVariable(key="signing", value="x", description=None)), ErrorResponse)
    with read_only_airflow():
        armed = AirflowVariableStore(name="unheard_of", allow_unencrypted=True).arm()
        held = armed.read()
        assert held.current is None
        secret = SigningSecret("whsec_new")
        with pytest.raises(StoreRefused, match="403"):
            armed.write(SecretPair(secret), held=held, mark=StoreMark("5" * 24, secret.fingerprint, "here"))


def test_hooks_and_stores_work_as_in_a_task_and_only_meanwhile(backends: list[object]) -> None:
    backends.append(OneSecret())
    store = AirflowVariableStore(name="signing", allow_unencrypted=True)
    with read_only_airflow():
        assert BaseHook.get_connection("cache").password == "pw"
        assert store.arm().read().current == SigningSecret("whsec_theirs")
    with pytest.raises(StoreUnusable, match="from a running task only"):
        store.arm()


def test_a_store_names_the_outage(backends: list[object]) -> None:
    backends.append(Down())
    with read_only_airflow() as airflow, pytest.raises(StoreUnreachable):
        AirflowVariableStore(name="signing", allow_unencrypted=True).arm().read()
    assert airflow.unasked == {"Down": "ConnectionError"}


def test_masking_stays_in_this_process() -> None:
    assert ReadOnlyAirflow().send(MaskSecret(value="x")) is None


def test_events_of_an_unreachable_database_are_not_known() -> None:
    """This Airflow home has no database."""
    assert asset_event_extras("featurebase://webhooks/production/rotation-report") is None
