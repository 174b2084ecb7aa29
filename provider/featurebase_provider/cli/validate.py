"""``featurebase validate``: everything that is wrong with a rotation file, without a running Airflow."""

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
    """One file and what is wrong with it.

    :param readable: whether there is a text that could be checked.
    :param webhooks: how many webhooks a file that is right has.
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
    """Check, print to standard output, and end with the exit status that the command promises.

    :param arguments: ``files`` (paths; none: the file that Airflow is told to read) and ``output`` (``text`` or
        ``json``).
    :raises SystemExit: 1 a file has faults; 2 a file can't be read, or none is configured.
    """
    checked = [_check(path) for path in arguments.files or (None,)]
    show = _json if arguments.output == "json" else _text
    sys.stdout.write(show(checked) + "\n")
    if status := max(one.status for one in checked):
        raise SystemExit(status)


def _check(path: str | None) -> Checked:
    try:
        config = load_rotation_config(path or configured_path())
    except ConfigError as exc:
        return Checked(exc.path, exc.faults, readable=not isinstance(exc, FileUnusable))
    return Checked(config.path, webhooks=len(config.webhooks))


def _json(checked: Sequence[Checked]) -> str:
    files = [
        {"path": one.path, "ok": one.status == 0, "faults": [asdict(fault) for fault in one.faults]} for one in checked
    ]
    return json.dumps({"ok": all(one.status == 0 for one in checked), "files": files}, indent=2)


def _text(checked: Sequence[Checked]) -> str:
    lines = []
    for one in checked:
        lines += [fault.within(one.path) for fault in one.faults]
        if one.status == 0:
            lines.append(f"{one.path}: all is well, {one.webhooks} webhook{'' if one.webhooks == 1 else 's'}")
    return "\n".join(lines)
