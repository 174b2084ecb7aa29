"""Airflow Variables, with a stand-in for the task's supervisor that answers as Airflow 3.3's does."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, PutVariable, VariableResult

from featurebase_provider.stores.airflow_variable import AirflowVariableStore
from tests.contract.store_case import HELD, Seen, StoreCase, not_applicable

if TYPE_CHECKING:
    from collections.abc import Iterator

FERNET_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


class StandInSupervisor:
    """Keeps Variables in memory; refuses and fails as ``airflow.sdk``'s supervisor does."""

    def __init__(self) -> None:
        self.variables: dict[str, tuple[str, str | None]] = {}
        self.writes = 0
        self.get_error: ErrorResponse | Exception | None = None
        self.put_error: ErrorResponse | Exception | None = None

    def send(self, msg: Any) -> Any:
        if isinstance(msg, GetVariable):
            self._fail(self.get_error)
            if msg.key not in self.variables:
                return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": msg.key})
            return VariableResult(key=msg.key, value=self.variables[msg.key][0])
        if isinstance(msg, PutVariable):
            self._fail(self.put_error)
            self.writes += 1
            self.variables[msg.key] = (msg.value or "", msg.description)
            return None
        raise AssertionError(f"unexpected message {type(msg).__name__}")

    @staticmethod
    def _fail(error: ErrorResponse | Exception | None) -> None:
        if isinstance(error, ErrorResponse):
            raise AirflowRuntimeError(error)
        if error is not None:
            raise error


def refusal(status: int) -> ErrorResponse:
    """What the supervisor passes on when the API server answers with this status."""
    kind = ErrorType.PERMISSION_DENIED if status in {401, 403} else ErrorType.API_SERVER_ERROR
    return ErrorResponse(error=kind, detail={"status_code": status, "message": f"put of {HELD} failed"})


class VariableRawCase(StoreCase):
    is_conditional = False
    bare = True
    proves_writability = False
    asks_airflow = True
    creates_without_asking = True

    def __init__(self) -> None:
        self.supervisor = StandInSupervisor()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(task_runner, "SUPERVISOR_COMMS", self.supervisor, raising=False)
        self.patch.setenv("AIRFLOW__CORE__FERNET_KEY", FERNET_KEY)

    def close(self) -> None:
        self.patch.undo()

    def config(self, **changes: Any) -> AirflowVariableStore:
        return AirflowVariableStore(**{"name": "team/webhook_signing", **changes})

    def text(self, current: str, previous: str | None) -> str:
        return current

    def parse(self, text: str) -> Seen:
        return Seen(text)

    def put(self, current: str, previous: str | None = None) -> None:
        self.supervisor.variables["team/webhook_signing"] = (self.text(current, previous), "theirs")

    def remove(self) -> None:
        del self.supervisor.variables["team/webhook_signing"]

    def seen(self) -> Seen | None:
        held = self.supervisor.variables.get("team/webhook_signing")
        return self.parse(held[0]) if held else None

    def evidence(self) -> Any:
        return dict(self.supervisor.variables), self.supervisor.writes

    def put_wrong_type(self) -> None:
        not_applicable("a raw Variable is always text")

    def missing_place(self) -> AirflowVariableStore:
        not_applicable("Variables have no folder")

    @contextmanager
    def writing_denied(self) -> Iterator[AirflowVariableStore]:
        self.supervisor.put_error = refusal(403)
        yield self.config()
        self.supervisor.put_error = None

    @contextmanager
    def server_down(self) -> Iterator[AirflowVariableStore]:
        self.supervisor.get_error = refusal(503)
        yield self.config()
        self.supervisor.get_error = None


class VariableJsonCase(VariableRawCase):
    bare = False
    misspelt: ClassVar = {"key": "Signing"}
    keeps_previous = True
    previous_as_current: ClassVar = {"key": "previous", "previous_key": None}

    def config(self, **changes: Any) -> AirflowVariableStore:
        return super().config(**{"format": "json", "key": "signing", **changes})

    def text(self, current: str, previous: str | None) -> str:
        return json.dumps({"host": "a", "signing": current} | ({"previous": previous} if previous else {}))

    def parse(self, text: str) -> Seen:
        document = json.loads(text)
        return Seen(document.pop("signing", None), document.pop("previous", None), document or None)

    def put_wrong_type(self) -> None:
        self.supervisor.variables["team/webhook_signing"] = (json.dumps([HELD]), None)
