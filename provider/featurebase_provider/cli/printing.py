"""Prints the result of ``check-stores``: a table for people, or JSON for programs."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from featurebase_provider.cli.webhook_check import finding
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.errors import StoreForeignValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from featurebase_provider.cli.webhook_check import WebhookCheck
    from featurebase_provider.rotation.check import Holding, StoreCheck

PIPED_WIDTH = 200
_WORDS: dict[Holding, str] = {
    "matches": "matches Featurebase",
    "unfinished": "matches Featurebase, not finished",
    "padded": "differs in white space",
    "differs": "differs",
    "foreign": "not ours",
    "absent": "nothing",
    "not_readable": "not readable",
    "not_compared": "not compared",
    "unknown": "-",
}
_COLOURS = {
    "yes": "green",
    "no": "red",
    "matches": "green",
    "padded": "red",
    "differs": "red",
    "foreign": "red",
    "absent": "yellow",
}


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Silence log lines and warnings of clients, so that they don't mix with the output."""
    import airflow.configuration  # noqa: F401  it sets filters for warnings, which must not come after ours

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def show_json(checks: Sequence[WebhookCheck], notes: Sequence[str], *, out: TextIO | None = None) -> None:
    """Print one JSON object: ``ok``, ``notes`` and ``webhooks``, each with its ``stores``."""
    document = {
        "ok": not any(check.findings for check in checks),
        "notes": list(notes),
        "webhooks": [
            {
                "name": check.name,
                "webhook_id": check.webhook_id,
                "fingerprint": check.fingerprint,
                "problem": check.problem,
                "stores": [_as_json(store) for store in check.stores],
            }
            for check in checks
        ],
    }
    (out or sys.stdout).write(json.dumps(document, indent=2) + "\n")


def _as_json(store: StoreCheck) -> dict[str, Any]:
    return {
        "store": store.label,
        "target": store.target,
        "writable": _writable(store),
        "writable_detail": store.writability.detail if store.writability is not None else None,
        "holds": store.holding,
        "fingerprint": store.fingerprint,
        "problem": finding(store),
    }


def show_table(checks: Sequence[WebhookCheck], notes: Sequence[str], *, out: TextIO | None = None) -> None:
    """Print a row per store, and the findings below."""
    console = Console(file=out or sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("Webhook", "Store", "Target", "Writable", "Holds", "Fingerprint"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        table.add_row(Text(check.name), Text("Featurebase", "dim"), "", "", "", check.fingerprint or "unknown")
        for store in check.stores:
            writable = _writable(store)
            table.add_row(
                "",
                Text(store.label),
                Text(one_line(store.target, 500)),
                Text(writable, _COLOURS.get(writable, "")),
                Text(_WORDS[store.holding], _COLOURS.get(store.holding, "")),
                store.fingerprint or "",
            )
    console.print(table)
    found = [f"{check.name}: {one_line(text, 2000)}" for check in checks for text in check.findings]
    for line in (*(f"! {text}" for text in found), *(f"Note: {one_line(note, 500)}" for note in notes)):
        console.print(Text(line), soft_wrap=True)
    stores = sum(len(check.stores) for check in checks)
    verdict = _count(len(found), "finding") if found else "no findings"
    summary = f"{_count(len(checks), 'webhook')}, {_count(stores, 'store')}: {verdict}. Nothing was changed."
    console.print(Text(summary), soft_wrap=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _writable(store: StoreCheck) -> str:
    """Whether the store can be written, in a word or two; "not asked" if a problem came first."""
    if store.writability is not None:
        return "yes" if store.writability.proven else "not provable"
    return "not asked" if store.holding == "unknown" or isinstance(store.problem, StoreForeignValue) else "no"
