from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time import task_runner
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.airflow_variable import AirflowVariableStore
from featurebase_provider.stores.shared import airflow_channel
from tests.contract.store_case import write_to
from tests.contract.variable_cases import VariableRawCase, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:0123456789abcdef", "https://airflow.example.com")
KEY = "team/webhook_signing"


@pytest.fixture
def case() -> Iterator[VariableRawCase]:
    built = VariableRawCase()
    yield built
    built.close()


def write(store: AirflowVariableStore, value: str = "whsec_new") -> None:
    armed = store.arm()
    write_to(armed, SecretPair(SigningSecret(value)), held=armed.read(), mark=MARK)


def test_writes_on_the_main_thread_only(case: VariableRawCase) -> None:
    """Airflow 3.1 has no lock on the task's channel."""
    assert case.config().arm().main_thread_only


def test_the_configured_description_is_set(case: VariableRawCase) -> None:
    case.put("whsec_old")
    write(case.config(description="Owned by the feedback team"))
    assert case.supervisor.variables[KEY] == ("whsec_new", "Owned by the feedback team")


def test_without_one_the_description_says_what_the_value_is(case: VariableRawCase) -> None:
    write(case.config())
    description = case.supervisor.variables[KEY][1] or ""
    assert all(fact in description for fact in (MARK.webhook_id, MARK.fingerprint, MARK.managed_from, MARK.managed_by))
    assert "whsec_new" not in description


def test_the_proof_warns_that_a_description_is_replaced(case: VariableRawCase) -> None:
    """Airflow lets no task read a description, so an existing one cannot be kept by itself."""
    assert "description" not in case.config().arm().prove_writable().detail
    case.put("whsec_old")
    assert "its description will be replaced" in case.config().arm().prove_writable().detail
    assert "description" not in case.config(description="mine").arm().prove_writable().detail


def test_the_proof_warns_of_a_name_whose_value_airflow_shows(case: VariableRawCase) -> None:
    """Its UI hides the values of Variables by their names."""
    assert "Airflow shows its value" in case.config().arm().prove_writable().detail
    assert "shows its value" not in case.config(name=f"{KEY}_Secret").arm().prove_writable().detail


def test_an_environment_variable_that_shadows_it_is_refused(
    case: VariableRawCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_TEAM/WEBHOOK_SIGNING", "whsec_shadow")
    with pytest.raises(StoreRefused, match="EnvironmentVariablesBackend has a Variable of this name") as caught:
        case.config().arm()
    assert "whsec_shadow" not in str(caught.value)


class StandInBackend:
    """A secrets backend as third parties write them."""

    def __init__(self, answer: str | Exception | None) -> None:
        self.answer = answer

    def get_variable(self, key: str) -> str | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("whsec_shadow", StoreRefused), ("", StoreRefused), (RuntimeError("whsec_shadow"), StoreUnreachable)],
)
def test_a_secrets_backend_that_shadows_it_or_cannot_be_asked_is_an_error(
    case: VariableRawCase, monkeypatch: pytest.MonkeyPatch, answer: str | Exception, kind: type[StoreError]
) -> None:
    from airflow.sdk.execution_time import supervisor

    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: [StandInBackend(answer)])
    with pytest.raises(kind, match="StandInBackend") as caught:
        case.config().arm()
    assert "whsec_shadow" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secrets_backend_without_it_is_fine(case: VariableRawCase, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import supervisor

    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: [StandInBackend(None)])
    write(case.config())
    assert case.supervisor.variables[KEY][0] == "whsec_new"


def test_an_empty_fernet_key_is_refused_unless_allowed(case: VariableRawCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    with pytest.raises(StoreUnusable, match="allow_unencrypted: true"):
        case.config().arm()
    write(case.config(allow_unencrypted=True))
    assert case.supervisor.variables[KEY][0] == "whsec_new"


@pytest.mark.parametrize("logs", [True, False])
def test_a_log_level_at_which_airflow_logs_the_value_is_refused(
    case: VariableRawCase, monkeypatch: pytest.MonkeyPatch, logs: bool
) -> None:
    monkeypatch.setattr(airflow_channel, "supervisor_logs_values", lambda: logs)
    with pytest.raises(StoreUnusable, match="supervisor=INFO") if logs else nullcontext():
        case.config().arm().close()


def test_outside_a_task_it_cannot_be_used(case: VariableRawCase) -> None:
    case.patch.delattr(task_runner, "SUPERVISOR_COMMS")
    with pytest.raises(StoreUnusable, match="running task"):
        case.config().arm()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal(401), StoreRefused),
        (refusal(403), StoreRefused),
        (refusal(422), StoreRefused),
        (refusal(500), StoreUnreachable),
        (refusal(503), StoreUnreachable),
        (BrokenPipeError("whsec_held_before"), StoreUnreachable),
        (EOFError("whsec_held_before"), StoreUnreachable),
    ],
)
def test_airflows_refusals_and_outages_are_told_apart(
    case: VariableRawCase, error: Any, kind: type[StoreError]
) -> None:
    """Neither reads as an absent Variable, and a failed write is never silent."""
    case.put("whsec_old")
    armed = case.config().arm()
    held = armed.read()
    case.supervisor.get_error = error
    with pytest.raises(StoreError) as read:
        armed.read()
    case.supervisor.get_error, case.supervisor.put_error = None, error
    with pytest.raises(StoreError) as written:
        write_to(armed, SecretPair(SigningSecret("whsec_new")), held=held, mark=MARK)
    for caught in (read.value, written.value):
        assert type(caught) is kind
        assert "whsec_" not in str(caught)
    assert case.supervisor.variables[KEY] == ("whsec_old", "theirs")


def test_an_answer_of_another_kind_is_no_absence(case: VariableRawCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case.supervisor, "send", lambda message: message)
    with pytest.raises(StoreUnreachable, match="whether it exists is unknown"):
        case.config().arm().read()


def test_an_empty_variable_holds_no_secret(case: VariableRawCase) -> None:
    case.put("")
    assert case.config().arm().read().current is None
    write(case.config())
    assert case.supervisor.variables[KEY][0] == "whsec_new"


@pytest.mark.parametrize("name", ["a b", "a?b", "a#b", "a%2Fb", "../connections/x", "a//b", "a/./b", "", "keys", "a\n"])
def test_names_that_airflow_would_put_elsewhere_are_refused(name: str) -> None:
    """The client does not escape the key, so such a name would reach another address."""
    with pytest.raises(ValidationError):
        AirflowVariableStore(name=name)


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"key": "current"}, "raw has no keys"),
        ({"format": "json", "key": None}, "needs a key"),
        ({"format": "json", "previous_key": "current"}, "must differ"),
    ],
)
def test_keys_belong_to_json(fields: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        AirflowVariableStore(name="signing", **fields)


def test_json_keeps_the_previous_secret_by_default() -> None:
    store = AirflowVariableStore(name="signing", format="json")
    assert store.keeps_previous
    assert store.target == "airflow-variable:signing#current"
    assert not AirflowVariableStore(name="signing", format="json", previous_key=None).keeps_previous
