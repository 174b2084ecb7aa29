from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.hooks.redacting import RedactingFilter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "whsec_0123456789abcdef"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler with the filter writes of ``a.client``'s records."""
    out, logger = io.StringIO(), logging.getLogger("a.client")
    redacting = RedactingFilter()
    redacting.learn([SECRET, SECRET[::-1]])
    redacting.learn(["pa%73s"])
    handler = logging.StreamHandler(out)
    handler.addFilter(redacting)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield out
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("nothing to hide in %s", ("this",), "nothing to hide in this"),
        ("PUT %r", ({"value": SECRET},), "PUT {'value': '[redacted]'}"),
        (f"{SECRET} and %s 100%%", (SECRET[::-1],), "[redacted] and [redacted] 100%"),
        ("https://x/?p=pa%73s", (), "https://x/?p=[redacted]"),
        ({"event": "an object"}, (), "{'event': 'an object'}"),
    ],
)
def test_a_record_leaves_without_the_secret(
    written: io.StringIO, message: object, arguments: tuple[object, ...], expected: str
) -> None:
    logging.getLogger("a.client").debug(message, *arguments)
    assert written.getvalue() == f"{expected}\n"


def test_an_exception_that_quotes_it_is_told_without(written: io.StringIO) -> None:
    """Its type and its traceback stay."""
    try:
        raise ValueError(f"no such value: {SECRET}")
    except ValueError:
        logging.getLogger("a.client").exception("it failed")
    assert SECRET not in written.getvalue()
    assert written.getvalue().startswith("it failed\nTraceback")
    assert written.getvalue().endswith("ValueError: no such value: [redacted]\n")


def test_another_exception_stays_as_it_is(written: io.StringIO) -> None:
    try:
        raise KeyError("colour")
    except KeyError:
        logging.getLogger("a.client").exception("it failed")
    assert written.getvalue().endswith("KeyError: 'colour'\n")


def test_a_record_that_does_not_fit_its_arguments_is_the_handlers_to_report(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without the filter: the program goes on."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("a.client").debug("%d things", "no number")
    assert written.getvalue() == ""


IN_A_TASK = """
import logging, sys
from airflow.sdk.log import configure_logging
from featurebase_provider.hooks.redacting import redact_from_records

out = open(sys.argv[1], "wb", buffering=0)
configure_logging(json_output=True, output=out, sending_to_supervisor=True, log_level="DEBUG")
redact_from_records([sys.argv[2]])
logging.getLogger("a.client").debug("PUT %s", {"value": sys.argv[2]})
"""


def test_what_a_task_sends_to_its_supervisor_is_clean(tmp_path: Path) -> None:
    """With the logging that Airflow sets up in a task's process, where nothing is masked."""
    out = tmp_path / "sent"
    subprocess.run([sys.executable, "-c", IN_A_TASK, str(out), SECRET], check=True, capture_output=True, timeout=300)
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["event"] for one in events if one.get("logger") == "a.client"] == ["PUT {'value': '[redacted]'}"]
    assert SECRET not in out.read_text()
