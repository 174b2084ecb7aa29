"""The commands of this provider, for Airflow's command line and for the console script ``featurebase``.

Airflow 3.2 and newer import this module for every ``airflow`` command, so it imports nothing else of this provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

GROUP_HELP = "Rotate Featurebase webhook signing secrets"


class Command(NamedTuple):
    """One command.

    :param function: dotted path of the function that runs it with the parsed arguments; it may raise SystemExit.
    :param arguments: flags and argparse options of each argument.
    """

    name: str
    help: str
    description: str
    function: str
    arguments: tuple[tuple[tuple[str, ...], dict[str, Any]], ...]


CHECK_STORES = Command(
    "check-stores",
    "Check every configured store: can it be written, and does it hold Featurebase's current secret?",
    """\
Connects to every store in the rotation file as the preflight task does, tests whether it can be written, and compares
what it holds with Featurebase, by fingerprint. It changes nothing and prints no secret. It needs what a task needs: the
stores' client libraries and connections, and Airflow's database for connections, Variables and earlier reports.

Exit status: 0 if every store is ready and holds the current secret (or can't be compared); 1 if there are findings;
2 if the command line or the rotation file has errors.""",
    "featurebase_provider.cli.check_stores.run",
    (
        (
            ("-w", "--webhook"),
            {
                "action": "append",
                "metavar": "NAME",
                "help": "A webhook's name in the rotation file; can be repeated. Default: all webhooks",
            },
        ),
        (
            ("-o", "--output"),
            {"choices": ("table", "json"), "default": "table", "help": "Output format. Default: table"},
        ),
    ),
)

VALIDATE = Command(
    "validate",
    "Check a rotation file offline, for CI and pre-commit",
    """\
Reads rotation files as Airflow does and prints every error in them with its line and field. It needs no network, no
connection and no Airflow database. To check a plug-in's store type, install the plug-in.

Exit status: 0 if every file is valid; 1 if a file has errors; 2 if the command line is wrong or a file can't be
read.""",
    "featurebase_provider.cli.validate.run",
    (
        (
            ("files",),
            {"nargs": "*", "metavar": "FILE", "help": "A rotation file. Default: [featurebase] rotation_config"},
        ),
        (
            ("-o", "--output"),
            {"choices": ("text", "json"), "default": "text", "help": "Output format. Default: text"},
        ),
    ),
)

EXAMPLE_DAGS = Command(
    "example-dags",
    "Copy the Dag files and an example rotation file into a folder, to start from",
    """\
Copies the Dag files of this package, and a commented rotation file, into a folder, which is made if it is not there.
Then it says what to do next. Files that exist already are named and stay as they are, unless --force is given. It needs
no network, no connection and no Airflow database.

Exit status: 0 the files were copied; 1 some exist already, and nothing was copied; 2 the command is wrong, or a file
can't be written.""",
    "featurebase_provider.cli.example_dags.run",
    (
        (("path",), {"metavar": "PATH", "help": "The folder, for example Airflow's Dags folder"}),
        (
            ("-f", "--force"),
            {"action": "store_true", "help": "Replace files of the same names, an edited rotation.yaml too"},
        ),
    ),
)

PAIR_WEBHOOK = Command(
    "pair-webhook",
    "Make the second webhook of a pair, for strategy: overlap",
    """\
Makes a second webhook for the single one that an entry of the rotation file names: with the same url, topics, request
headers and timeout, paused, and with a secret of its own. Without --apply it changes nothing: it says what it would do,
and what to check first. In the end it prints the lines for the rotation file, and how to go back.

It makes one webhook, however often it is called: it finds the one that an earlier call made by a mark in its
description, and finishes it if that call was cut off. It deletes nothing but a webhook that the same call made and
could not pause. It prints no secret and no header's value.

Exit status: 0 the second webhook is there, or (without --apply) nothing speaks against it; 1 it can't be made, or is
unfinished, and the message says what is left and what to do; 2 the command line or the rotation file has errors.""",
    "featurebase_provider.cli.pair_webhook.run",
    (
        (("name",), {"metavar": "NAME", "help": "The entry's name in the rotation file"}),
        (("--apply",), {"action": "store_true", "help": "Make the webhook. Default: only say what would be done"}),
        (
            ("--topic",),
            {
                "metavar": "TOPIC",
                "help": "A topic with few events, with which the webhook is made before it is paused. Default: "
                "conversation_part.redacted",
            },
        ),
    ),
)

HISTORY = Command(
    "history",
    "Print the audit trail of all runs, as CSV or JSON",
    """\
Prints one row for each run that left a report, oldest first: when, which webhook, outcome, mode, who triggered it, why,
the secret's fingerprints before and after, exposure, refusals, probe and deliveries. The reports are the events of the
assets featurebase://webhooks/<name>/rotation-report in Airflow's database, so `airflow db clean` shortens the trail. It
changes nothing and prints no secret.

Exit status: 0 the trail was printed; 1 Airflow's database can't be read; 2 the command line or the rotation file has
errors.""",
    "featurebase_provider.cli.history.run",
    (
        (
            ("-w", "--webhook"),
            {
                "action": "append",
                "metavar": "NAME",
                "help": "A webhook's name in the rotation file; can be repeated. Default: all webhooks",
            },
        ),
        (("-o", "--output"), {"choices": ("csv", "json"), "default": "csv", "help": "Output format. Default: csv"}),
    ),
)

COMMANDS = (CHECK_STORES, VALIDATE, HISTORY, EXAMPLE_DAGS, PAIR_WEBHOOK)


def get_featurebase_cli_commands() -> list[CLICommand]:
    """The commands that Airflow adds to its own (the ``cli`` entry of the provider's info)."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    return [
        GroupCommand(
            name="featurebase",
            help=GROUP_HELP,
            subcommands=tuple(
                ActionCommand(
                    name=command.name,
                    help=command.help,
                    description=command.description,
                    func=lazy_load_command(command.function),
                    args=tuple(
                        Arg(flags, **options)  # type: ignore[no-untyped-call]
                        for flags, options in command.arguments
                    ),
                )
                for command in COMMANDS
            ),
        )
    ]
