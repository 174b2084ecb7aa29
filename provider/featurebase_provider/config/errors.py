"""What is wrong with the rotation file, all of it at once."""

from __future__ import annotations

from dataclasses import dataclass

from featurebase_provider.featurebase.errors import FeaturebaseError

_SHOWN = 50


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong in the rotation file.

    :param line: line in the file, counted from 1; 0 where no line is at fault (a missing file, say).
    :param field: the field as ``webhooks[0].probe.timeout``; empty where the whole file is at fault.
    :param message: what is wrong and what is allowed; never a value that could be a secret.
    """

    line: int
    field: str
    message: str

    def within(self, path: str) -> str:
        """The fault with its file and line, as editors and people find them: ``path:line: field: message``."""
        place = f"{path}:{self.line}" if self.line and path else path
        return ": ".join(part for part in (place, self.field, self.message) if part)


class ConfigError(FeaturebaseError):
    """The rotation file cannot be used; no rotation Dag is built from it, and nothing else was changed.

    :param path: the rotation file, or empty where no file is configured.
    :param faults: every fault found, in the order of the file.
    """

    retry_helps = False

    def __init__(self, path: str, faults: tuple[Fault, ...]) -> None:
        super().__init__(path, faults)
        self.path, self.faults = path, faults

    def __str__(self) -> str:
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        what = f"{count} in the rotation file" if self.path else "there is no rotation file"
        lines = [f"{what}; no rotation Dag is built until that is mended:"]
        lines += [fault.within(self.path) for fault in self.faults[:_SHOWN]]
        if (hidden := len(self.faults) - _SHOWN) > 0:
            lines.append(f"... and {hidden} more")
        return "\n".join(lines)


class FileUnusable(ConfigError):
    """There is no rotation file that could be checked: none is configured, or it can't be read as text."""
