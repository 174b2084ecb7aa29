"""The console script ``featurebase``, for Airflow 3.1, which takes no commands from providers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from featurebase_provider.cli import definition

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command.

    :raises SystemExit: with the command's exit status, where that is not 0.
    """
    parser = argparse.ArgumentParser(prog="featurebase", description=definition.GROUP_HELP)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        definition.CHECK_STORES,
        help=definition.CHECK_STORES_HELP,
        description=definition.CHECK_STORES_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for flags, options in definition.CHECK_STORES_ARGUMENTS:
        check.add_argument(*flags, **options)
    arguments = parser.parse_args(argv)

    from featurebase_provider.cli.check_stores import run

    run(arguments)
