"""``featurebase validate``: checks rotation files without a running Airflow."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from featurebase_provider.config import ConfigError, configured_path, load_rotation_config
from featurebase_provider.config.errors import FileUnusable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from featurebase_provider.config import Fault

FAULTS = 1
WRONG_USE = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """One file and its errors.

    :param readable: whether the file could be read as text.
    :param webhooks: the number of webhooks in a valid file.
    """

    path: str
    faults: tuple[Fault, ...] = ()
    readable: bool = True
    webhooks: int = 0

    @property
    def status(self) -> int:
        """The exit status for this file alone."""
        if not self.readable:
            return WRONG_USE
        return FAULTS if self.faults else 0


def run(arguments: argparse.Namespace) -> None:
    """Check the files and print the result to standard output.

    :param arguments: ``files`` (paths; none means the file in ``[featurebase] rotation_config``) and ``output``
        (``text`` or ``json``).
    :raises SystemExit: 1 if a file has errors; 2 if a file can't be read, or none is configured.
    """
    checked = [_check(path) for path in arguments.files or (None,)]
    show = _json if arguments.output == "json" else _text
    sys.stdout.write(show(checked) + "\n")
    if status := max(file.status for file in checked):
        raise SystemExit(status)


def _check(path: str | None) -> Checked:
    try:
        config = load_rotation_config(path or configured_path())
    except ConfigError as exc:
        return Checked(exc.path, exc.faults, readable=not isinstance(exc, FileUnusable))
    return Checked(config.path, webhooks=len(config.webhooks))


def _json(checked: Sequence[Checked]) -> str:
    files = [
        {"path": file.path, "ok": file.status == 0, "faults": [asdict(fault) for fault in file.faults]}
        for file in checked
    ]
    return json.dumps({"ok": all(file.status == 0 for file in checked), "files": files}, indent=2)


def _text(checked: Sequence[Checked]) -> str:
    lines = []
    for file in checked:
        lines += [fault.within(file.path) for fault in file.faults]
        if file.status == 0:
            lines.append(f"{file.path}: valid, {file.webhooks} webhook{'' if file.webhooks == 1 else 's'}")
    return "\n".join(lines)
