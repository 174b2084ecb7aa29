"""Prints the result of ``check-stores``: a table for people, or JSON for programs."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    """Print one JSON object: ``ok``, ``notes`` and ``webhooks``, each with its ``stores`` and a pair's ``halves``."""
    document = {
        "ok": not any(check.findings for check in checks),
        "notes": list(notes),
        "webhooks": [
            {
                "name": check.name,
                "webhook_id": check.webhook_id,
                "fingerprint": check.fingerprint,
                "problem": check.problem,
                **_pair_json(check),
                "stores": [_as_json(check, store) for store in check.stores],
            }
            for check in checks
        ],
    }
    (out or sys.stdout).write(json.dumps(document, indent=2) + "\n")


def _pair_json(check: WebhookCheck) -> dict[str, Any]:
    """Both webhooks of a pair; nothing for a single one."""
    pair = check.pair
    return {} if pair is None else {"halves": [asdict(half) for half in pair.halves], "problems": list(pair.problems)}


def _as_json(check: WebhookCheck, store: StoreCheck) -> dict[str, Any]:
    slots = {} if check.pair is None else {"previous": store.previous, "slots": check.pair.slots(store)}
    return {
        "store": store.label,
        "target": store.target,
        "writable": _writable(store),
        "writable_detail": store.writability.detail if store.writability is not None else None,
        "holds": store.holding,
        "fingerprint": store.fingerprint,
        **slots,
        "problem": check.finding(store),
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
        for name, place, fingerprint in _heads(check):
            table.add_row(Text(name), Text(place, "dim"), "", "", "", fingerprint or "unknown")
        for store in check.stores:
            writable = _writable(store)
            table.add_row(
                "",
                Text(store.label),
                Text(one_line(store.target, 500)),
                Text(writable, _COLOURS.get(writable, "")),
                Text(_WORDS[store.holding], _COLOURS.get(store.holding, "")),
                _held(check, store),
            )
    console.print(table)
    found = [f"{check.name}: {one_line(text, 2000)}" for check in checks for text in check.findings]
    for line in (*(f"! {text}" for text in found), *(f"Note: {one_line(note, 500)}" for note in notes)):
        console.print(Text(line), soft_wrap=True)
    stores = sum(len(check.stores) for check in checks)
    verdict = _count(len(found), "finding") if found else "no findings"
    summary = f"{_count(len(checks), 'webhook')}, {_count(stores, 'store')}: {verdict}. Nothing was changed."
    console.print(Text(summary), soft_wrap=True)


def _heads(check: WebhookCheck) -> Iterator[tuple[str, str, str | None]]:
    """The first rows of a webhook: what Featurebase shows, of a pair one row for each half."""
    if check.pair is None:
        yield check.name, "Featurebase", check.fingerprint
        return
    for index, half in enumerate(check.pair.halves):
        yield "" if index else check.name, f"Featurebase, {half.webhook_id}, {half.status}", half.fingerprint


def _held(check: WebhookCheck, store: StoreCheck) -> str:
    """What a store holds; of a pair, each of both places with whose secret that is."""
    if check.pair is None:
        return store.fingerprint or ""
    whose, held = check.pair.slots(store), {"current": store.fingerprint, "previous": store.previous}
    return "\n".join(
        f"{fingerprint} ({slot}, {f'of {whose[slot]}' if whose[slot] else 'of neither'})"
        for slot, fingerprint in held.items()
        if fingerprint is not None
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _writable(store: StoreCheck) -> str:
    """Whether the store can be written, in a word or two; "not asked" if a problem came first."""
    if store.writability is not None:
        return "yes" if store.writability.proven else "not provable"
    return "not asked" if store.holding == "unknown" or isinstance(store.problem, StoreForeignValue) else "no"
