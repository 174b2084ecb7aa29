"""What earlier runs have found, so that a run that was stopped goes on, and only what changed is tried again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from dev.mutants.changes import Mutant
    from dev.mutants.trials import Verdict


class Kept:
    """Verdicts, a line each in a file.

    A mutant that was killed stays so until its module changes. One that survived is tried again as soon as anything
    of the project or the tests has changed.

    :param content: names what the project and the tests are now.
    """

    def __init__(self, file: Path, content: str) -> None:
        self._file, self._content = file, content
        self._verdicts: dict[str, Verdict] = {}
        for line in file.read_text().splitlines() if file.exists() else []:
            row = json.loads(line)
            if row["verdict"] == "survived" and row["content"] != content:
                self._verdicts.pop(row["mutant"], None)
            else:
                self._verdicts[row["mutant"]] = row["verdict"]

    def of(self, mutant: Mutant) -> Verdict | None:
        """What came of a mutant, or None where it must be tried."""
        return self._verdicts.get(_id(mutant))

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        """Keep a verdict, whatever happens to this run afterwards."""
        self._verdicts[_id(mutant)] = verdict
        row = {"mutant": _id(mutant), "verdict": verdict, "content": self._content}
        with self._file.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _id(mutant: Mutant) -> str:
    return hashlib.sha256(f"{mutant.change.module}\0{mutant.source}".encode()).hexdigest()[:24]
