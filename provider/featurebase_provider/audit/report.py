"""The report of an audit, as tables for people and as JSON for XCom and the asset event. Holds no secret."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from featurebase_provider.audit.findings import ADVICE, Finding
from featurebase_provider.audit.row import LONGEST, AuditedWebhook, rows_json
from featurebase_provider.featurebase.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from featurebase_provider.rotation.check import HeldByStore

REPORT_VERSION = 2
SHOWN_FINDINGS = 1000
"""Most findings that are listed; the rest are only counted."""
MOST_POINTS = 2000
"""Most past runs that all webhooks show together: a megabyte would make the page slow."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of one audit.

    :param at: when it ran (ISO 8601).
    :param connections: base URL of each connection's Featurebase API, None if the connection could not be read.
    :param webhooks: one row per webhook of the rotation file.
    :param findings: all findings, including ignored ones.
    :param seconds: how long the audit took.
    """

    at: str
    connections: Mapping[str, str | None]
    webhooks: tuple[AuditedWebhook, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def open(self) -> tuple[Finding, ...]:
        """The findings that are not ignored."""
        return tuple(finding for finding in self.findings if not finding.ignored)

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings of each kind, including ignored ones."""
        counted: dict[str, int] = {}
        for finding in self.findings:
            counted[finding.kind] = counted.get(finding.kind, 0) + 1
        return counted

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that :meth:`from_json` reads back; at most :data:`SHOWN_FINDINGS` findings."""
        kinds = dict.fromkeys(finding.kind for finding in self.findings)
        return {
            **self.as_event(),
            "advice": [{"kind": kind, "text": ADVICE.get(kind, "")} for kind in kinds],
            "webhooks": rows_json(self.webhooks, MOST_POINTS),
        }

    def as_event(self) -> dict[str, Any]:
        """The same without webhooks, for the asset event, which Airflow keeps for a long time.

        It has lists where a mapping would do: Airflow hides a mapping's values whose keys contain words like "secret".
        """
        shown = sorted(self.findings, key=lambda finding: finding.ignored)[:SHOWN_FINDINGS]
        return {
            "version": REPORT_VERSION,
            "at": self.at,
            "seconds": round(self.seconds, 3),
            "connections": [{"conn_id": conn_id, "host": host} for conn_id, host in self.connections.items()],
            "audited": len(self.webhooks),
            "stores": sum(len(webhook.stores) for webhook in self.webhooks),
            "open": len(self.open),
            "ignored": len(self.findings) - len(self.open),
            "counts": [{"kind": kind, "number": number} for kind, number in self.counts.items()],
            "findings": [{**finding.as_json(), "detail": one_line(finding.detail, LONGEST)} for finding in shown],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> AuditReport:
        """Read a report back, of version 1 too."""
        return cls(
            at=raw["at"],
            connections=_hosts(raw["connections"]),
            webhooks=tuple(AuditedWebhook.from_json(webhook) for webhook in raw.get("webhooks", ())),
            findings=tuple(Finding.from_json(finding) for finding in raw["findings"]),
            seconds=raw["seconds"],
        )

    def as_text(self, width: int = 140) -> str:
        """The report as plain text tables, for the task log."""
        console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, emoji=False)
        stores = sum(len(webhook.stores) for webhook in self.webhooks)
        console.print(
            f"{len(self.webhooks)} webhooks with {stores} stores compared with Featurebase in {self.seconds:.1f} s: "
            f"{len(self.open)} findings, {len(self.findings) - len(self.open)} ignored"
        )
        console.print(_webhook_table(self.webhooks))
        if self.findings:
            console.print(_finding_table(self.findings))
            console.print(_advice_table(self.findings))
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return "\n".join(line.rstrip() for line in text.splitlines())


def _hosts(raw: Any) -> dict[str, str | None]:
    """Base URLs by connection; a mapping in reports of version 1."""
    return dict(raw) if isinstance(raw, dict) else {entry["conn_id"]: entry["host"] for entry in raw}


def _webhook_table(webhooks: Iterable[AuditedWebhook]) -> Table:
    table = Table(title="\nWebhooks", title_justify="left")
    for column in ("webhook", "status", "secret", "age", "stores"):
        table.add_column(column, overflow="fold")
    for webhook in webhooks:
        table.add_row(
            escape(webhook.name),
            escape(one_line(webhook.status or "not read", 20)),
            webhook.fingerprint or "not read",
            webhook.age or "",
            escape(_in_short(webhook.stores)),
        )
        for half in webhook.halves:
            if half.webhook_id != webhook.webhook_id:
                table.add_row("  its pair", escape(one_line(half.status, 20)), half.fingerprint or "not read", "", "")
    return table


def _in_short(stores: Iterable[HeldByStore]) -> str:
    """``3 match``, followed by each store that does not match."""
    held = list(stores)
    matching = sum(store.holding == "matches" for store in held)
    others = [f"{store.label} {store.holding.replace('_', ' ')}" for store in held if store.holding != "matches"]
    return ", ".join([f"{matching} match", *others] if matching or not others else others)


def _finding_table(findings: Iterable[Finding]) -> Table:
    table = Table(title="\nFindings", title_justify="left", show_lines=True)
    for column in ("finding", "where", "what"):
        table.add_column(column, overflow="fold")
    shown = sorted(findings, key=lambda finding: finding.ignored)
    for finding in shown[:SHOWN_FINDINGS]:
        kind = f"{finding.kind} (ignored)" if finding.ignored else finding.kind
        table.add_row(kind, escape(one_line(finding.where)), escape(one_line(finding.detail, LONGEST)))
    if len(shown) > SHOWN_FINDINGS:
        table.add_row("...", "", f"and {len(shown) - SHOWN_FINDINGS} more")
    return table


def _advice_table(findings: Iterable[Finding]) -> Table:
    table = Table(title="\nWhat to do", title_justify="left")
    for column in ("finding", "what to do"):
        table.add_column(column, overflow="fold")
    for kind in dict.fromkeys(finding.kind for finding in findings if not finding.ignored):
        table.add_row(kind, ADVICE.get(kind))
    return table
