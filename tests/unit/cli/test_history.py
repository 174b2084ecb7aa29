"""`featurebase history`: the audit trail as rows, whatever somebody put into an asset event."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from featurebase_provider.cli import console
from featurebase_provider.cli.history import COLUMNS, row_of, write_csv
from tests.world.fakes import START, WEBHOOK_ID


def a_report(**facts: Any) -> dict[str, Any]:
    return {
        "at": START.isoformat(), "webhook": "a", "outcome": "rotated", "mode": "rotate", "by": "ann", "reason": "leak",
        "webhook_id": WEBHOOK_ID, "before": "sha256:0", "after": "sha256:1", "dag_id": "d", "run_id": "r",
        "stores": [{"exposure_ms": 12.5}, {"exposure_ms": 40.0}], "probe": {"result": "accepted", "detail": "x"},
        "delivery": {"kind": "healthy"}, "refusals_seen": 2, **facts,
    }  # fmt: skip


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list[dict[str, Any]] | None]:
    """The events of each webhook's reports, by the asset's URI, beside a rotation file with webhooks a and b."""
    kept: dict[str, list[dict[str, Any]] | None] = {}
    file = tmp_path / "rotation.yaml"
    stores = [{"type": "airflow_variable", "name": "signing"}]
    entries = [
        {"name": name, "webhook_id": f"{number:024x}", "stores": [{**stores[0], "name": f"signing_{name}"}]}
        for number, name in ((1, "a"), (2, "b"))
    ]
    file.write_text(json.dumps({"webhooks": entries}))
    monkeypatch.setenv("AIRFLOW__FEATUREBASE__ROTATION_CONFIG", str(file))
    monkeypatch.setattr(
        "featurebase_provider.cli.read_only_airflow.asset_event_extras", lambda uri: kept.get(uri.split("/")[3], [])
    )
    return kept


def test_all_runs_are_printed_oldest_first(
    events: dict[str, list[dict[str, Any]] | None], capsys: pytest.CaptureFixture[str]
) -> None:
    events["a"] = [a_report(at="2026-03-01T00:00:00+00:00")]
    events["b"] = [a_report(at="2026-02-01T00:00:00+00:00", webhook="b", reason=None)]
    console.main(["history"])
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["webhook"], first["reason"], second["webhook"], second["reason"]) == ("b", "", "a", "leak")
    assert (second["exposure_ms"], second["refused"], second["probe"], second["delivery"]) == (
        "40.0", "2", "accepted", "healthy"
    )  # fmt: skip
    console.main(["history", "--webhook", "b", "--output", "json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["webhook"], row["by"], row["refused"]) == ("b", "ann", 2)
    assert tuple(row) == COLUMNS


def test_no_run_is_an_empty_trail(
    events: dict[str, list[dict[str, Any]] | None], capsys: pytest.CaptureFixture[str]
) -> None:
    console.main(["history"])
    assert capsys.readouterr().out == ",".join(COLUMNS) + "\n"
    console.main(["history", "-o", "json"])
    assert json.loads(capsys.readouterr().out) == []


def test_what_can_not_be_read_is_not_an_empty_trail(
    events: dict[str, list[dict[str, Any]] | None], capsys: pytest.CaptureFixture[str]
) -> None:
    events["b"] = None
    with pytest.raises(SystemExit) as ended:
        console.main(["history"])
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (1, "")
    assert "can't be read" in shown.err


def test_an_unknown_webhook_is_named(
    events: dict[str, list[dict[str, Any]] | None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        console.main(["history", "-w", "c"])
    assert ended.value.code == 2
    assert "has no webhook 'c'; it has a, b" in capsys.readouterr().err


def test_a_spreadsheet_takes_no_text_for_a_formula() -> None:
    """A reason is what anybody wrote who may trigger the Dag."""
    out = io.StringIO()
    write_csv([row_of(a_report(reason='=HYPERLINK("x")')), row_of(a_report(reason="+1, or -1"))], out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [row["reason"] for row in rows] == ['\'=HYPERLINK("x")', "'+1, or -1"]


@pytest.mark.parametrize("odd", [{}, {"at": 3, "outcome": []}, {"probe": "x", "delivery": {"kind": 3}, "reason": {}}])
def test_odd_events_are_rows_with_gaps(odd: dict[str, Any]) -> None:
    row = row_of(odd)
    assert tuple(row) == COLUMNS
    assert all(value is None or isinstance(value, (str, int, float)) for value in row.values())
