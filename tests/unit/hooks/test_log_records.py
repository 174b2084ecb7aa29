from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from featurebase_provider.hooks import masking
from featurebase_provider.hooks.masking import Redactor, redact_from_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "whsec_0123456789abcdef"
log = logging.getLogger("a.client.of.its.own")


class Written(logging.StreamHandler[io.StringIO]):
    """A handler that shows all that a record holds, as an error tracker or a JSON formatter does."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        super().emit(record)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def told(self) -> str:
        return f"{self.text} {[vars(record) for record in self.records]}"


@pytest.fixture(autouse=True)
def redactor(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    """What this process has learned, for one test; the loggers stay watched, as in a task."""
    masking._watch_loggers()
    redactor = masking._REDACTOR
    monkeypatch.setattr(redactor, "_forms", ())
    redactor.learn([SECRET, SECRET[::-1]])
    redactor.learn(["pa%73s"])
    return redactor


@pytest.fixture
def written() -> Iterator[Written]:
    """What a handler of a named logger writes, which is none of root's."""
    handler = Written()
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    yield handler
    log.removeHandler(handler)


class Quoting:
    """An object that shows a secret in one of its texts."""

    def __init__(self, shown: str = "", repr_shown: str = "") -> None:
        self.shown, self.repr_shown = shown, repr_shown

    def __str__(self) -> str:
        return f"shows {self.shown}"

    def __repr__(self) -> str:
        return f"<{self.repr_shown}>"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("nothing to hide in %s", ("this",), "nothing to hide in this"),
        ("PUT %r", ({"value": SECRET},), "PUT {'value': '[redacted]'}"),
        ("PUT %(value)s", ({"value": SECRET},), "PUT [redacted]"),
        (f"{SECRET} and %s 100%%", (SECRET[::-1],), "[redacted] and [redacted] 100%"),
        ("whsec_%s", ("0123456789abcdef",), "[redacted]"),
        ("%.5s", (SECRET,), "whsec"),
        ("https://x/?p=pa%73s", (), "https://x/?p=[redacted]"),
        ({"event": "an object"}, (), "{'event': 'an object'}"),
        ({"event": SECRET, "deep": [(SECRET,), {SECRET: {SECRET}}]}, (), None),
        (ValueError(f"no such value: {SECRET}"), (), "no such value: [redacted]"),
        (Quoting(SECRET), (), "shows [redacted]"),
        ("%s", (Quoting(repr_shown=SECRET),), "shows "),
        ([b"a", SECRET.encode()], (), "[b'a', b'[redacted]']"),
        ("%d of %s", (3, None), "3 of None"),
    ],
)
def test_a_record_leaves_without_the_secret(
    written: Written, message: object, arguments: tuple[object, ...], expected: str | None
) -> None:
    log.debug(message, *arguments)
    assert expected is None or written.text == f"{expected}\n"
    assert SECRET not in written.told
    assert written.text


@pytest.mark.parametrize("own", ["before", "after"])
def test_any_handler_of_any_logger_gets_it_clean(own: str) -> None:
    """It may be added before the first secret is known, or after; it need not be root's."""
    logger, handler = logging.getLogger(f"vendor.{own}"), Written()
    logger.propagate = False
    if own == "before":
        logger.addHandler(handler)
    redact_from_logs(["a-header-value"])
    logger.addHandler(handler)
    logger.error("%s and a-header-value", SECRET)
    logger.handle(logging.makeLogRecord({"msg": SECRET, "message": SECRET, "levelno": 40}))
    assert handler.text == "[redacted] and [redacted]\n[redacted]\n"
    assert SECRET not in handler.told


def test_what_a_record_is_given_besides_is_clean_too(written: Written) -> None:
    """Formatters write extra fields, error trackers send them."""
    known = {"plain": SECRET, "many": [1, {"deep": (SECRET, None)}], "error": KeyError(SECRET)}
    number, fine = 12, {"colour": ["red"]}
    log.info("it", extra={**known, "number": number, "fine": fine})
    [record] = written.records
    assert SECRET not in written.told
    assert record.__dict__["many"] == [1, {"deep": ("[redacted]", None)}]
    assert record.__dict__["fine"] is fine
    assert (record.__dict__["number"], record.lineno > 1, record.msg) == (12, True, "it")


def test_a_record_without_a_secret_stays_as_it_is(written: Written) -> None:
    """Who groups by the message's template, or reads an argument, still can."""
    arguments = ({"a": 1}, [2])
    log.info("%s of %s", *arguments)
    [record] = written.records
    assert isinstance(record.args, tuple)
    assert record.msg == "%s of %s"
    assert all(new is old for new, old in zip(record.args, arguments, strict=True))


def test_an_exception_that_quotes_it_is_told_without(written: Written) -> None:
    """Its type and its traceback stay, those of its causes too."""
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as exc:
            raise ValueError("no such value") from exc
    except ValueError:
        log.exception("it failed", stack_info=True)
        log.exception({"event": "it failed"})
    assert SECRET not in written.told
    assert written.text.startswith("it failed\nTraceback")
    assert "KeyError: '[redacted]'\n" in written.text
    assert "ValueError: no such value\n" in written.text
    [first, second] = written.records
    assert first.exc_info is None
    assert isinstance(second.msg, dict)
    assert second.msg["event"] == "it failed"
    assert second.msg["exception"].startswith("Traceback")


def test_a_cached_traceback_and_a_stack_are_clean(written: Written) -> None:
    """A record may have been formatted before it comes here."""
    record = logging.makeLogRecord(
        {"levelno": 40, "msg": "m", "exc_text": f"E: {SECRET}", "stack_info": f"at {SECRET}"}
    )
    log.handle(record)
    assert written.text == "m\nE: [redacted]\nat [redacted]\n"


@pytest.mark.parametrize("given", ["the error", "its triple", True])
def test_an_event_with_an_exception_is_clean_however_it_is_given(redactor: Redactor, given: object) -> None:
    """Where structlog's last processor renders the exception itself, as Airflow's console does."""
    try:
        raise KeyError(SECRET)
    except KeyError as exc:
        triple = (KeyError, exc, exc.__traceback__)
        exc_info = {"the error": exc, "its triple": triple}.get(str(given), given)
        event = redactor.redact_event(None, "error", {"event": SECRET, "n": 1, "exc_info": exc_info})
    assert event.keys() == {"event", "n", "exception"}
    assert (event["event"], event["n"]) == ("[redacted]", 1)
    assert event["exception"].endswith("KeyError: '[redacted]'")
    other = {"event": "it", "exc_info": KeyError("colour")}
    assert redactor.redact_event(None, "error", dict(other)) == other
    for nothing in ((), (None, None, None), False, 7):
        assert redactor.redact_event(None, "error", {"exc_info": nothing}) == {"exc_info": nothing}


def test_another_exception_stays_as_it_is(written: Written) -> None:
    try:
        raise KeyError("colour")
    except KeyError:
        log.exception("it failed")
    assert written.text.endswith("KeyError: 'colour'\n")
    assert written.records[0].exc_info is not None


@pytest.mark.parametrize("argument", ["no number", SECRET, Unprintable()])
def test_a_record_that_does_not_fit_its_arguments_is_the_handlers_to_report(
    redactor: Redactor, argument: object
) -> None:
    """As without redaction: the program goes on. The report quotes template and arguments, so they are clean."""
    facts = {"msg": f"{SECRET}: %d things", "args": (argument,), "odd": Unprintable(), "exc_info": (None, None, None)}
    record = logging.makeLogRecord(facts)
    redactor.redact_record(record)
    with pytest.raises((TypeError, RuntimeError)):
        record.getMessage()
    assert record.msg == "[redacted]: %d things"
    assert record.args == ("[redacted]",) if argument == SECRET else (argument,)


def test_structures_without_an_end_are_logged(written: Written) -> None:
    """Whether they hold themselves, or go deeper than anybody reads."""
    ring: list[Any] = [SECRET]
    ring += [ring] * 99
    deep: Any = SECRET
    for _ in range(50):
        deep = [deep]
    fine: list[Any] = []
    fine += [fine] * 99
    log.info("rings", extra={"ring": ring, "deep": deep, "fine": fine})
    assert written.records[0].__dict__["fine"] is fine
    assert SECRET not in written.told


def test_loggers_are_watched_once(redactor: Redactor) -> None:
    """Each secret that is learned watches anew; what others wrap around it stays."""
    before = logging.Logger.handle
    redact_from_logs(["one"])
    redact_from_logs(["two"])
    assert logging.Logger.handle is before
    assert redactor._cleaned("one two") == "[redacted] [redacted]"


IN_A_TASK = """
import logging, sys
import structlog
from airflow.sdk.log import configure_logging
from featurebase_provider.hooks.masking import redact_from_logs

out, secret = open(sys.argv[1], "wb", buffering=0), sys.argv[2]
configure_logging(json_output=True, output=out, sending_to_supervisor=True, log_level="DEBUG")
used, bound = structlog.get_logger("used"), structlog.get_logger("bound").bind(of=secret)
used.info("now it is cached")
bound.info("with")
redact_from_logs([secret])
redact_from_logs([secret[::-1]])
print(len(structlog.get_config()["processors"]))
logging.getLogger("a.client").debug("PUT %s", {"value": secret})
for log in (used, bound, structlog.get_logger("later"), logging.getLogger("a.client"), structlog.stdlib.get_logger()):
    log.info("PUT %s", {"value": secret})
    log.error(ValueError(secret))
    log.warning("%s", {"event": secret})
    try:
        raise KeyError(secret)
    except KeyError as exc:
        log.exception("it failed")
        log.error("it failed", exc_info=exc)
        log.error("it failed", exc_info=(type(exc), exc, exc.__traceback__))
used.info("with", value=secret, deep=[{"value": secret}], stack_info=True)
logging.getLogger("fine").info("%s", "red")
try:
    raise KeyError("colour")
except KeyError:
    used.exception("it failed")
used.error("the end", exc_info=(None, None, None))
"""


def test_what_a_task_sends_to_its_supervisor_is_clean(tmp_path: Path) -> None:
    """With the logging that Airflow sets up in a task's process, where nothing is masked."""
    out = tmp_path / "sent"
    command = [sys.executable, "-c", IN_A_TASK, str(out), SECRET]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    before, _, after = out.read_text().partition("PUT")
    assert SECRET in before
    assert SECRET not in after
    events = [json.loads(line) for line in out.read_text().splitlines()]
    failed = [one for one in events if one["event"].startswith("it failed")]
    assert [one["event"] for one in events].count("PUT {'value': '[redacted]'}") == 6
    assert [sum("KeyError" in str(one) and "[redacted]" in str(one) for one in failed), len(failed)] == [15, 16]
    assert [one["exception"][0]["exc_value"] for one in failed if "[redacted]" not in str(one)] == ["'colour'"]
    assert [(one["value"], one["deep"]) for one in events if "deep" in one] == [
        ("[redacted]", [{"value": "[redacted]"}])
    ]


def test_a_fixed_chain_of_structlog_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who configured structlog with a tuple gets the same one, with redaction before what renders."""
    processors: list[Any] = []
    monkeypatch.setattr(structlog, "get_config", lambda: {"processors": (str, repr)})
    monkeypatch.setattr(structlog, "configure", lambda **changes: processors.extend(changes["processors"]))
    redact_from_logs(["one"])
    assert processors == [str, masking._REDACTOR.redact_event, repr]
