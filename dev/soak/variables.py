"""Airflow's Variables as a running task finds them: what one process has set, later ones read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time.comms import (
    AssetEventsResult,
    ErrorResponse,
    GetAssetEventByAsset,
    GetVariable,
    GetVariableKeys,
    MaskSecret,
    PutVariable,
    VariableKeysResult,
    VariableResult,
)

from dev.soak.task_process import step

if TYPE_CHECKING:
    from pathlib import Path


class Variables:
    """Answers as a task's supervisor does, as far as this provider asks it. To set a Variable is two steps.

    :param folder: has a file for each Variable.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def send(self, message: Any) -> Any:
        """Take a message of the task, and give the answer."""
        if isinstance(message, GetVariable):
            try:
                return VariableResult(key=message.key, value=self._file(message.key).read_text())
            except FileNotFoundError:
                return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": message.key})
        if isinstance(message, GetVariableKeys):
            found = [key for key in self.keys() if key.startswith(message.prefix or "")]
            return VariableKeysResult(keys=found[: message.limit], total_entries=len(found))
        if isinstance(message, PutVariable):
            self._put(message.key, message.value or "")
            return None
        if isinstance(message, MaskSecret):
            return None
        if isinstance(message, GetAssetEventByAsset):
            return AssetEventsResult(asset_events=[])
        raise TypeError(f"the soak's stand-in for Airflow does not know {type(message).__name__}")

    def keys(self) -> list[str]:
        """Those that there are."""
        return sorted(unquote(file.name) for file in self._folder.iterdir() if not file.name.endswith("%"))

    def _put(self, key: str, value: str) -> None:
        record = key.rpartition("__")[2].partition("_")[0]  # without the key of a plan
        step(f"before the record {record}")
        whole = self._folder / f"{os.getpid()}%"  # no Variable's file is named so
        whole.write_text(value)
        whole.replace(self._file(key))
        step(f"after the record {record}")

    def _file(self, key: str) -> Path:
        return self._folder / quote(key, safe="")
