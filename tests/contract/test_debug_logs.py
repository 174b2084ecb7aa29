"""What the clients of all stores log at their most talkative: never a value, whosever it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.store import SecretPair, StoreMark
from tests.contract.store_case import ALL_VALUES, HELD, HELD_PREVIOUS, NEW, StoreCase, write_to
from tests.leaks.scanner import LeakScanner

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com/ops")
SERVERS = ("werkzeug", "uvicorn", "moto", "asyncio")
"""Loggers of the servers that run in this process; a client's process has none of them."""


class Listener(logging.Handler):
    """Hears every logger of this process at DEBUG, those too that Airflow's logging set-up has silenced."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[logging.LogRecord] = []
        self._before: dict[logging.Logger, tuple[bool, bool]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(SERVERS):
            self.heard.append(record)

    def open_all(self) -> None:
        """Let records of every logger that exists by now come through."""
        logging.root.setLevel(logging.DEBUG)
        if self not in logging.root.handlers:
            logging.root.addHandler(self)
        for logger in logging.root.manager.loggerDict.values():
            if isinstance(logger, logging.Logger):
                self._before.setdefault(logger, (logger.disabled, logger.propagate))
                logger.disabled, logger.propagate = False, True

    def close_all(self) -> None:
        logging.root.removeHandler(self)
        for logger, (disabled, propagate) in self._before.items():
            logger.disabled, logger.propagate = disabled, propagate


@pytest.fixture
def listener() -> Iterator[Listener]:
    import airflow.sdk  # noqa: F401  its logging set-up must not come in between

    level = logging.root.level
    listener = Listener()
    yield listener
    listener.close_all()
    logging.root.setLevel(level)


def test_clients_log_no_value(case: StoreCase, listener: Listener) -> None:
    """Read, proof and write at DEBUG: neither the new secret nor what was there before is in any record."""
    case.put(HELD, HELD_PREVIOUS if case.keeps_previous else None)
    listener.open_all()
    armed = case.config().arm()
    listener.open_all()
    armed.prove_writable()
    held = armed.read()
    write_to(armed, SecretPair(SigningSecret(NEW), held.current if case.keeps_previous else None), held=held, mark=MARK)
    armed.read()
    armed.close()
    listener.close_all()
    scanner = LeakScanner({f"value {number}": value for number, value in enumerate(ALL_VALUES)})
    leaks = {
        f"{record.name}:{record.lineno}: {leak.secret}, {leak.form}"
        for record in listener.heard
        for leak in scanner.scan_bytes(f"{record.getMessage()} {record.__dict__}".encode(), record.name)
    }
    assert leaks == set()
