"""Takes secrets out of log records within the task's own process.

Airflow masks a task's log where it is written, in the supervisor, and there only: a LocalExecutor's scheduler writes
the same records to its own output unmasked (seen on 3.3.2). What a vendor's client logs has to be clean before that.
"""

from __future__ import annotations

import logging
import traceback

from featurebase_provider.featurebase.redaction import REDACTED


class RedactingFilter(logging.Filter):
    """Replaces secrets in each record that a handler takes: in the text, and in an exception's."""

    def __init__(self) -> None:
        super().__init__()
        self._forms: tuple[str, ...] = ()

    def learn(self, forms: list[str]) -> None:
        """Take out these texts too, longer ones first."""
        self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, without the secrets."""
        if not isinstance(record.msg, str):
            return True
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # a record that does not fit its arguments; the handler says so
            return True
        cleaned = self._cleaned(text)
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info))
            told = self._cleaned(trace)
            if told != trace:
                cleaned, record.exc_info, record.exc_text = f"{cleaned}\n{told.rstrip()}", None, None
        if cleaned != text:
            record.msg, record.args = cleaned, None
        return True

    def _cleaned(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, REDACTED)
        return text


_FILTER = RedactingFilter()


def redact_from_records(forms: list[str]) -> None:
    """Take these texts out of every record that reaches a handler of the root logger from now on."""
    _FILTER.learn(forms)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_FILTER)  # adds it once
