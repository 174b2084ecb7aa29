"""The console script ``featurebase``: the same commands for CI, and for Airflow 3.1, which has no provider commands."""

from __future__ import annotations

import argparse
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from featurebase_provider.cli import definition

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command.

    :raises SystemExit: with the command's exit status, if it is not 0.
    """
    parser = argparse.ArgumentParser(prog="featurebase", description=definition.GROUP_HELP)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in definition.COMMANDS:
        subcommand = commands.add_parser(
            command.name,
            help=command.help,
            description=command.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for flags, options in command.arguments:
            subcommand.add_argument(*flags, **options)
        subcommand.set_defaults(function=command.function)
    arguments = parser.parse_args(argv)
    resolve_name(arguments.function)(arguments)
