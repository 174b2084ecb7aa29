"""Removes secrets from everything that is logged within the task's own process.

Airflow masks a task's log only in the supervisor, where it is written. A LocalExecutor's scheduler writes the same
records to its own output unmasked (seen on 3.3.2), and a user's own handlers or error trackers see records before the
supervisor does. So records must be clean before that, including those of vendor clients.

Two logging systems are covered. Every record of :mod:`logging` passes through ``Logger.handle``, with its extra fields,
before any handler sees it; a record factory would not see those fields, and a filter covers only one handler or logger.
Events of structlog, which Airflow's own loggers use, pass through the list of processors that Airflow configured.
"""

from __future__ import annotations

import functools
import logging
import operator
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from featurebase_provider.airflow_compat import async_masker
from featurebase_provider.featurebase.text import REDACTED, SHORTEST_SECRET, forms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

_DEEPEST = 10
"""Nesting depth down to which items of lists and mappings are cleaned one by one; deeper ones are cleaned as text."""
_OF_EVERY_RECORD = frozenset(logging.makeLogRecord({}).__dict__) - {"exc_text", "stack_info"}
"""Fields that the logging module sets and that need no cleaning; message and exception are cleaned separately."""
_CONTAINERS = (dict, list, tuple, set, frozenset)


class Redactor:
    """Replaces secrets in log records and events. Values without a secret are kept as the same objects."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def learn(self, forms: Iterable[str]) -> None:
        """Remove these texts too, longer ones first."""
        with self._lock:
            self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))

    def redact_record(self, record: logging.LogRecord) -> None:
        """Clean a record in place: its message, its exception, and every field that was added to it."""
        for name in record.__dict__.keys() - _OF_EVERY_RECORD:
            record.__dict__[name] = self._cleaned(record.__dict__[name])
        trace = self._cleaned_trace(record.exc_info)
        if trace is not None:
            record.exc_info = record.exc_text = None
        if isinstance(record.msg, dict) and not record.args:  # structlog's, for its formatter: it has to stay one
            record.msg = self.redact_event(None, "", {**record.msg, **({"exception": trace} if trace else {})})
        else:
            self._redact_message(record, "" if trace is None else f"\n{trace}")

    def _redact_message(self, record: logging.LogRecord, trace: str) -> None:
        cleaned_args = self._cleaned(record.args)
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  an argument's own code failed: the handler will report that
            record.msg, record.args = self._cleaned(record.msg), cleaned_args
            return
        cleaned = self._cleaned(message)
        if trace or cleaned != message or cleaned_args is not record.args:
            record.msg, record.args = cleaned + trace, None

    def redact_event(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Clean an event in place, as a processor of structlog does."""
        trace = self._cleaned_trace(event.get("exc_info"))
        if trace is not None:
            del event["exc_info"]
            event["exception"] = trace
        for name in event.keys() - {"exc_info"}:
            event[name] = self._cleaned(event[name])
        return event

    def _cleaned(self, value: Any) -> Any:
        cleaned = self._walked(value, {}, 0)
        # The clean copy of a structure that contains itself still leads to the original: use its text then.
        return cleaned if cleaned is value else self._text_if_secret(cleaned)

    def _walked(self, value: Any, met: dict[int, Any], depth: int) -> Any:
        if isinstance(value, str):
            cleaned = functools.reduce(lambda text, form: text.replace(form, REDACTED), self._forms, value)
            return value if cleaned == value else cleaned
        if value is None or isinstance(value, (int, float)):
            return value
        kind = next((kind for kind in _CONTAINERS if isinstance(value, kind)), None)
        if kind is None or depth == _DEEPEST:
            return self._text_if_secret(value)
        if id(value) not in met:
            met[id(value)] = value
            parts = [*value, *value.values()] if kind is dict else [*value]
            clean = [self._walked(part, met, depth + 1) for part in parts]
            if not all(map(operator.is_, parts, clean)):
                half = len(clean) // 2
                met[id(value)] = dict(zip(clean[:half], clean[half:], strict=True)) if kind is dict else kind(clean)
        return met[id(value)]

    def _text_if_secret(self, value: Any) -> Any:
        """The value itself, or its cleaned text if its text contains a secret."""
        texts = _texts_of(value)
        cleaned = [self._walked(text, {}, 0) for text in texts]
        return value if cleaned == texts else cleaned[0]

    def _cleaned_trace(self, exc_info: Any) -> str | None:
        """A traceback without the secrets, or None if it contains none."""
        if isinstance(exc_info, BaseException):
            exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
        elif exc_info is True:
            exc_info = sys.exc_info()
        error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else None
        if not isinstance(error, BaseException):
            return None
        trace = "".join(traceback.format_exception(*exc_info))
        cleaned: str = self._cleaned(trace)
        return None if cleaned == trace else cleaned.rstrip()


def _texts_of(value: Any) -> list[str]:
    try:
        return [str(value), repr(value)]
    except Exception:  # noqa: BLE001  its own code failed: a value without a text can't show a secret
        return []


_REDACTOR = Redactor()


def redact_from_logs(forms: list[str]) -> None:
    """Remove these texts from everything that this process logs from now on."""
    _REDACTOR.learn(forms)
    _watch_loggers()
    _watch_structlog()


@functools.cache
def _watch_loggers() -> None:
    handle = logging.Logger.handle

    @functools.wraps(handle)
    def redact_and_handle(logger: logging.Logger, record: logging.LogRecord) -> None:
        _REDACTOR.redact_record(record)
        handle(logger, record)

    logging.Logger.handle = redact_and_handle  # type: ignore[assignment, method-assign]


def _watch_structlog() -> None:
    import structlog

    processors = structlog.get_config()["processors"]
    if _REDACTOR.redact_event in processors:
        return
    if isinstance(processors, list):
        processors.insert(-1, _REDACTOR.redact_event)  # in place: loggers that were used already share the list
    else:
        structlog.configure(processors=[*processors[:-1], _REDACTOR.redact_event, *processors[-1:]])


def mask(value: str) -> None:
    """Mask a secret in this task's process and its supervisor. Call this on the task's main thread.

    No store is written before the supervisor has answered, although readers wait for that: what a store's client prints
    (``http.client`` at its debug level, gRPC's trace, a plug-in) is no log record, and the supervisor alone masks it.
    """
    from airflow.sdk.log import mask_secret

    forms = forms_of(value)
    _redact(value, forms)
    # One call for all forms: each is a round trip to the supervisor, and this runs between refresh and writes.
    mask_secret([*forms])


async def amask(value: str) -> None:
    """Mask a secret from within a trigger's event loop, if this version of Airflow can."""
    forms = forms_of(value)
    _redact(value, forms)
    masker = async_masker()
    if masker is not None:
        await masker([*forms])


def _redact(value: str, forms: list[str]) -> None:
    if len(value) >= SHORTEST_SECRET:
        redact_from_logs(forms)
