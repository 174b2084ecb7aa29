"""Finds the rotation file and reads its text."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from featurebase_provider.config import errors
    from featurebase_provider.config.errors import FileUnusable
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")

MAX_BYTES = 1024 * 1024

_CONTROL = frozenset({*map(chr, range(32)), "\x7f"} - set("\t\n\r"))

SECTION = "featurebase"
OPTION = "rotation_config"
_FIELD = f"[{SECTION}] {OPTION}"


def read_text(path: Path) -> str:
    """Read the rotation file.

    :raises FileUnusable: it is missing, not a regular file, unreadable, or larger than 1 MiB.
    :raises ConfigError: it is not UTF-8 text, or contains control characters.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block whoever reads it
            raise _unusable(path, "is not a regular file; give the path of the YAML file itself")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _unusable(path, f"does not exist. Create it, or use another file: {how_to_set()}") from None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "its name is invalid"
        who = "Airflow's Dag processor and workers must be able to read it"
        raise _unusable(path, f"can't be read by this process ({reason}); {who}") from None
    if len(raw) > MAX_BYTES:
        raise _unusable(path, "is larger than 1 MiB, too large for a rotation file")
    return _decoded(path, raw)


def how_to_set() -> str:
    """How to configure the rotation file's path."""
    return (
        "set AIRFLOW__FEATUREBASE__ROTATION_CONFIG, or rotation_config in the section [featurebase] of "
        "airflow.cfg, to the absolute path of a YAML file, for example "
        "/opt/airflow/config/featurebase_rotation.yaml"
    )


def _decoded(path: Path, raw: bytes) -> str:
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode()  # the codec utf-8-sig is a module to load
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise errors.ConfigError(
            str(path), (errors.Fault(line, "", "this is not UTF-8; save the file as UTF-8"),)
        ) from None
    if not _CONTROL.isdisjoint(text):
        before = next(index for index, character in enumerate(text) if character in _CONTROL)
        line = text.count("\n", 0, before) + 1
        message = "the file contains a control character; YAML files must be text"
        raise errors.ConfigError(str(path), (errors.Fault(line, "", message),))
    return text


def _unusable(path: Path, problem: str) -> FileUnusable:
    return errors.FileUnusable(str(path), (errors.Fault(0, "", problem),))


def configured_path() -> Path:
    """The rotation file that ``[featurebase] rotation_config`` names.

    :raises FileUnusable: the setting is missing, empty, or not an absolute path.
    """
    from featurebase_provider.airflow_compat import airflow_conf  # reading the models needs no Airflow

    value = str(airflow_conf().get(SECTION, OPTION, fallback=None) or "").strip()
    if not value:
        raise errors.FileUnusable(
            "", (errors.Fault(0, _FIELD, f"is not set, so there is nothing to rotate; {how_to_set()}"),)
        )
    try:
        path = Path(value).expanduser()
    except RuntimeError:  # ~name of a user that does not exist
        path = Path(value)
    if not path.is_absolute():
        # Airflow's processes have different working directories.
        raise errors.FileUnusable(
            "", (errors.Fault(0, _FIELD, f"must be an absolute path, not {path}; {how_to_set()}"),)
        )
    return path
