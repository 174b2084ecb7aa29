"""The commands of this provider as Airflow and the console script ``featurebase`` offer them.

Every ``airflow`` command of Airflow 3.2 and newer imports this module: it imports nothing else of this provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

GROUP_HELP = "Rotate Featurebase webhook signing secrets"

CHECK_STORES = "check-stores"
CHECK_STORES_HELP = "Check every configured store: can it be written, and does it hold Featurebase's current secret?"
CHECK_STORES_DESCRIPTION = """\
Arms every store of the rotation file as the preflight task does, lets each prove that it can be written, and compares
what it holds with Featurebase, by fingerprint. Changes nothing, and prints no secret. It needs what a task needs: the
stores' clients and connections; and Airflow's database, for connections, Variables and earlier reports.

Exit status: 0 every store is ready and holds the current secret (or can't be compared); 1 there are findings;
2 the command or the rotation file is wrong."""
CHECK_STORES_ARGUMENTS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("-w", "--webhook"),
        {
            "action": "append",
            "metavar": "NAME",
            "help": "A webhook's name in the rotation file; repeat it for several. Default: all",
        },
    ),
    (
        ("-o", "--output"),
        {"choices": ("table", "json"), "default": "table", "help": "How to print it. Default: table"},
    ),
)


def get_featurebase_cli_commands() -> list[CLICommand]:
    """What Airflow adds to its own commands (the ``cli`` entry of the provider's info)."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    return [
        GroupCommand(
            name="featurebase",
            help=GROUP_HELP,
            subcommands=(
                ActionCommand(
                    name=CHECK_STORES,
                    help=CHECK_STORES_HELP,
                    description=CHECK_STORES_DESCRIPTION,
                    func=lazy_load_command("featurebase_provider.cli.check_stores.run"),
                    args=tuple(
                        Arg(flags, **options)  # type: ignore[no-untyped-call]
                        for flags, options in CHECK_STORES_ARGUMENTS
                    ),
                ),
            ),
        )
    ]
