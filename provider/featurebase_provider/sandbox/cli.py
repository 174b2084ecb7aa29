"""The command ``featurebase-sandbox``: ``serve`` the local Featurebase, or run the sample ``receiver``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, get_args

from pydantic import ValidationError

from featurebase_provider.sandbox.behaviour import Behaviour
from featurebase_provider.sandbox.errors import SandboxUnusable

if TYPE_CHECKING:
    from fastapi import FastAPI

UNUSABLE = 2
"""Exit status if the command could not start, because of its arguments or the machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand until the process receives SIGTERM or SIGINT.

    :param argv: the arguments, without the program's name; default: those of the process.
    :returns: the exit status: 0 after a stop by SIGTERM or SIGINT, 2 if it could not start.
    """
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    previous = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        _run(options)
    except SandboxUnusable as error:
        print(f"featurebase-sandbox: {error}", file=sys.stderr)
        return UNUSABLE
    except SystemExit as leaving:
        return int(leaving.code or 0)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0


def _run(options: argparse.Namespace) -> None:
    from featurebase_provider.sandbox import server

    title = "Featurebase sandbox" if options.command == "serve" else "Sample receiver"
    app = _sandbox(options) if options.command == "serve" else _receiver(options)
    listening = server.open_socket(options.host, options.port)
    server.serve(app, listening, lambda: print(f"{title} on {server.url_of(listening)}", flush=True))


def _sandbox(options: argparse.Namespace) -> FastAPI:
    from featurebase_provider.sandbox.app import create_sandbox

    switches = {name: value for name, value in vars(options).items() if name in Behaviour.model_fields}
    try:
        return create_sandbox(options.api_key, state=options.state, **switches)
    except ValidationError as error:
        problems = [f"{_option(str(detail['loc'][0]))}: {detail['msg']}" for detail in error.errors()]
        raise SandboxUnusable("; ".join(problems)) from None


def _receiver(options: argparse.Namespace) -> FastAPI:
    from featurebase_provider.sandbox.receiver import create_receiver

    return create_receiver(
        options.secret_file,
        key=options.key,
        previous_key=options.previous_key,
        reload_seconds=options.reload_seconds,
        clock_url=options.clock_url,
    )


def _leave(_: int, __: FrameType | None) -> NoReturn:
    # uvicorn shuts down and then raises the signal again; a requested stop is not a failure.
    raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="featurebase-sandbox", description="A local Featurebase for trying out webhook secret rotation."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", help="run the local Featurebase", description="Run the local Featurebase.")
    _add_address(serve, port=8787)
    serve.add_argument("--api-key", default="sk_sandbox", help="the key that the API accepts (%(default)s)")
    serve.add_argument(
        "--state", type=Path, metavar="FILE", help="keep the webhooks in this file, and load them at the next start"
    )
    _add_switches(serve)

    receiver = commands.add_parser(
        "receiver",
        help="run the sample receiver",
        description="Run a receiver that verifies signatures with a secret read from a file.",
    )
    _add_address(receiver, port=8788)
    receiver.add_argument(
        "--secret-file",
        type=Path,
        required=True,
        help="file with just the secret or, with --key, a JSON or dotenv file",
    )
    receiver.add_argument("--key", metavar="NAME", help="name of the current secret in the file")
    receiver.add_argument("--previous-key", metavar="NAME", help="name of the previous secret, accepted too")
    receiver.add_argument(
        "--reload-seconds",
        type=float,
        default=0.0,
        metavar="S",
        help="check the file for changes at most every S seconds (default: at each delivery); inf: only at the start",
    )
    receiver.add_argument(
        "--clock-url", metavar="URL", help="take the time from this URL, such as http://127.0.0.1:8787/_sandbox/clock"
    )
    return parser


def _add_switches(parser: argparse.ArgumentParser) -> None:
    """Add an option for each switch of the behaviour; an option that is not given is left out of the result."""
    for name, field in Behaviour.model_fields.items():
        choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
        parser.add_argument(
            _option(name),
            choices=choices or None,
            metavar=None if choices else name.upper(),
            default=argparse.SUPPRESS,
            help=f"{field.description} ({_shown(field.default)})",
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(default: object) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _add_address(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_natural, default=port, help="port, 0 for a free one (%(default)s)")


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("negative")
    return number


if __name__ == "__main__":
    sys.exit(main())
