"""``airflow featurebase history``: the audit trail of all runs, for a spreadsheet or a program. Holds no secret."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.errors import FeaturebaseError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

UNREADABLE = 1
WRONG_USE = 2
COLUMNS = (
    "at", "webhook", "outcome", "mode", "by", "reason", "webhook_id", "host", "before", "after", "refreshed_at",
    "exposure_ms", "receiver_exposure_ms", "refused", "probe", "delivery", "cause", "dag_id", "run_id",
)  # fmt: skip
"""What is told of each run, in this order."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def run(arguments: argparse.Namespace) -> None:
    """Print all reports of the webhooks, oldest first.

    :param arguments: ``webhook`` (names, or None for all) and ``output`` (``csv`` or ``json``).
    :raises SystemExit: 1 if Airflow's database can't be read; 2 if the rotation file has errors, or no such webhook.
    """
    from featurebase_provider.cli.check_stores import chosen
    from featurebase_provider.cli.printing import quiet_logs

    with quiet_logs():
        try:
            webhooks = chosen(arguments.webhook).webhooks
        except FeaturebaseError as exc:
            sys.stderr.write(f"{exc}\n")
            raise SystemExit(WRONG_USE) from None
        reports = _reports([webhook.name for webhook in webhooks])
    if reports is None:
        sys.stderr.write("Airflow's database can't be read, so there is nothing to show; check its connection\n")
        raise SystemExit(UNREADABLE)
    rows = sorted((row_of(report) for report in reports), key=lambda row: str(row["at"]))
    write = write_json if arguments.output == "json" else write_csv
    write(rows, sys.stdout)


def _reports(names: Sequence[str]) -> list[Mapping[str, Any]] | None:
    """The reports of these webhooks, from the events of their assets; None if the database can't be read."""
    from featurebase_provider.cli.read_only_airflow import asset_event_extras
    from featurebase_provider.operators.assets import report_asset

    reports: list[Mapping[str, Any]] = []
    for name in names:
        found = asset_event_extras(report_asset(name).uri)
        if found is None:
            return None
        reports += found
    return reports


def row_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """One run as a flat row; what its report does not tell is None. Anybody with the right can make an event."""
    from featurebase_provider.rotation.past import PastRun

    past = PastRun.of_report(report)
    told = {name: report.get(name) for name in COLUMNS}
    shown = {name: value if isinstance(value, (str, int, float)) else None for name, value in told.items()}
    return {
        **shown,
        "exposure_ms": past.exposure_ms if past is not None else None,
        "refused": past.refused if past is not None else None,
        "probe": _verdict(report.get("probe")),
        "delivery": _verdict(report.get("delivery")),
    }


def _verdict(raw: object) -> str | None:
    found = (raw.get("result") or raw.get("kind")) if isinstance(raw, dict) else None
    return found if isinstance(found, str) else None


def write_json(rows: Sequence[Mapping[str, Any]], out: TextIO) -> None:
    """Write an array of objects."""
    out.write(json.dumps(list(rows), indent=2) + "\n")


def write_csv(rows: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write a head and a line for each run; a spreadsheet takes no text for a formula."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(list(_cells(row)) for row in rows)


def _cells(row: Mapping[str, Any]) -> Iterator[object]:
    for name in COLUMNS:
        value = row[name]
        yield f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
