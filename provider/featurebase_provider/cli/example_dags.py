"""``featurebase example-dags``: the Dag files and a rotation file to start from, copied out of the package."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import FeaturebaseError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

DAG_FILES = Path(__file__).parents[1] / "dags"
"""The package's own folder of Dag files, with the example rotation file beside them."""
ROTATION_FILE = "rotation.yaml"
FILES_EXIST = 1
WRONG_USE = 2

NEXT_STEPS = """\
Next:
1. Edit {file}: say which webhook is rotated, and where its signing secret must go.
2. Check it: featurebase validate {file}
3. Add the Airflow connection featurebase_default, of type Featurebase. Its password is a Featurebase API key.
4. Have the Dag processor and the workers read it: export AIRFLOW__FEATUREBASE__ROTATION_CONFIG={file}
   If {folder} is not your Dags folder, put the Dag files (*.py) there.
5. Rehearse: trigger featurebase_rotate__production with mode dry_run, which changes nothing.
"""


class FilesExist(FeaturebaseError):
    """Files of the same names are there already, and nobody said that they may be replaced.

    :param paths: those files.
    """

    retry_helps = False

    def __init__(self, paths: tuple[str, ...]) -> None:
        super().__init__(paths)
        self.paths = paths

    def __str__(self) -> str:
        return (
            f"Nothing was copied, because these exist already: {', '.join(self.paths)}. "
            "Choose another folder, or replace them with --force"
        )


class FileNotWritten(FeaturebaseError):
    """A file or the folder could not be written.

    :param path: what could not be written.
    :param reason: the operating system's words.
    :param copied: the files that were copied before.
    """

    def __init__(self, path: str, reason: str, copied: tuple[str, ...]) -> None:
        super().__init__(path, reason, copied)
        self.path, self.reason, self.copied = path, reason, copied

    def __str__(self) -> str:
        said = f"{self.path} could not be written: {self.reason}. "
        if self.copied:
            return f"{said}Copied before: {', '.join(self.copied)}. Fix this, and run the command again with --force"
        return f"{said}Nothing was copied. Fix this, and run the command again"


def run(arguments: argparse.Namespace) -> None:
    """Copy the files, say what to do next, and end with the exit status that the command promises.

    :param arguments: ``path`` (the folder) and ``force`` (replace files of the same names).
    :raises SystemExit: 1 files of the same names exist; 2 a file can't be written.
    """
    try:
        copied = copy(Path(arguments.path).absolute(), force=arguments.force)
    except FeaturebaseError as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(FILES_EXIST if isinstance(exc, FilesExist) else WRONG_USE) from None
    folder = copied[0].parent
    lines = (f"Copied into {folder}:", *(f"  {path.name}" for path in copied), "")
    steps = NEXT_STEPS.format(file=quote(str(folder / ROTATION_FILE)), folder=quote(str(folder)))
    sys.stdout.write("\n".join(lines) + f"\n{steps}")


def copy(folder: Path, *, force: bool) -> Sequence[Path]:
    """Copy all files into a folder, which is made if it is not there; all of them, or none if one exists already.

    :param force: replace files of the same names.
    :returns: the copies, by name.
    :raises FilesExist: files of the same names are there, and ``force`` is not set. Nothing was copied.
    :raises FileNotWritten: the folder or a file can't be written; says what was copied before.
    """
    sources = sorted(path for path in DAG_FILES.iterdir() if path.is_file())
    targets = [folder / source.name for source in sources]
    existing = tuple(str(target) for target in targets if os.path.lexists(target))
    if existing and not force:
        raise FilesExist(existing)
    copied: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in zip(sources, targets, strict=True):
            shutil.copyfile(source, target)
            copied.append(str(target))
    except OSError as exc:
        failed = targets[len(copied)] if folder.is_dir() else folder
        raise FileNotWritten(str(failed), exc.strerror or type(exc).__name__, tuple(copied)) from exc
    return targets
