from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from featurebase_provider.rotation.emergency_summary import BranchRow, check_done, summary_text
from featurebase_provider.rotation.errors import EmergencyNotDone

A, B = "sha256:aaaaaaaaaaaaaaaa", "sha256:bbbbbbbbbbbbbbbb"


def a_report(**changes: Any) -> dict[str, Any]:
    """A report as the branch's report task leaves it."""
    stores = [
        {"label": "file", "result": "written", "fingerprint": B, "exposure_ms": 40.4},
        {"label": "vault", "result": "unchanged", "fingerprint": B, "exposure_ms": None},
    ]
    return {"outcome": "rotated", "before": A, "after": B, "advice": "Nothing to do.", "stores": stores, **changes}


LEFT = {"label": "dead", "result": "not_armed", "fingerprint": None, "exposure_ms": None}
BEHIND = {"label": "behind", "result": "written", "fingerprint": A, "exposure_ms": 9.0}


def test_a_branch_that_is_done() -> None:
    row = BranchRow.of("production", a_report())
    assert row.done
    assert json.loads(json.dumps(row.as_json())) == {
        "webhook": "production", "outcome": "rotated", "before": A, "after": B, "stores_done": 2, "stores_left": [],
        "exposure_ms": 40.4, "advice": "Nothing to do.",
    }  # fmt: skip


def test_stores_that_are_left() -> None:
    """Those that failed, and those that hold an older secret."""
    row = BranchRow.of("production", a_report(outcome="incomplete", stores=[LEFT, BEHIND]))
    assert (row.done, row.stores_done, row.stores_left, row.exposure_ms) == (False, 0, ("dead", "behind"), None)


def test_the_longest_exposure_is_told_and_only_of_stores_that_are_done() -> None:
    """A store whose last write failed isn't, whatever it held before."""
    stores = [
        {"label": "slow", "result": "written", "fingerprint": B, "exposure_ms": 50.0},
        {"label": "fast", "result": "written", "fingerprint": B, "exposure_ms": 2.0},
        {"label": "failed", "result": "failed", "fingerprint": B, "exposure_ms": 99.0},
    ]
    row = BranchRow.of("production", a_report(stores=stores))
    assert (row.stores_done, row.stores_left, row.exposure_ms) == (2, ("failed",), 50.0)
    assert row.as_json()["stores_left"] == ["failed"]


def test_a_report_that_tells_little() -> None:
    row = BranchRow.of("production", {"outcome": "not_started"})
    assert (row.stores_done, row.stores_left, row.advice) == (0, (), "")
    assert row == BranchRow("production", "not_started")


def test_a_branch_without_a_report() -> None:
    row = BranchRow.of("production", None)
    assert (row.webhook, row.done, row.outcome, row.stores_done) == ("production", False, "no report", 0)
    assert "clear the branch's failed tasks" in row.advice


def test_a_branch_whose_entry_is_wrong() -> None:
    row = BranchRow.of("production", None, wrong="rotation.yaml:3: webhooks[0].webhook_id: is required")
    assert (row.webhook, row.done, row.outcome) == ("production", False, "wrong entry")
    assert row.advice == (
        "Nothing was changed. Its entry in the rotation file is invalid: rotation.yaml:3: webhooks[0].webhook_id: is "
        "required. Fix it, then trigger the Dag again."
    )


def test_the_table_shows_every_webhook_and_what_to_do() -> None:
    """A name that somebody typed stays on its line, and is no markup."""
    rows = [
        BranchRow.of("production", a_report()),
        BranchRow.of("staging", a_report(outcome="incomplete", advice="Mend it.", stores=[LEFT])),
        BranchRow.of("[red]no\nsuch", None),
    ]
    text = summary_text(rows)
    assert text.splitlines()[-2].startswith("- staging: Mend it.")
    assert text.splitlines()[-1].startswith("- [red]no such: Read the log")
    assert all(word in text for word in ("production", A, B, "40 ms", "dead", "no report"))


TABLE = """\
Emergency rotation
┏━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━┓
┃ webhook      ┃ outcome    ┃ secret before ┃ secret after ┃ stores done ┃ stores left  ┃ exposure ┃
┡━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━┩
│ production   │ rotated    │ sha256:aaaaaa │ sha256:bbbbb │ 2           │              │ 40 ms    │
│              │            │ aaaaaaaaaa    │ bbbbbbbbbbb  │             │              │          │
│ staging      │ incomplete │ sha256:aaaaaa │ sha256:bbbbb │ 0           │ dead, behind │          │
│              │            │ aaaaaaaaaa    │ bbbbbbbbbbb  │             │              │          │
│ [red]no such │ no report  │               │              │ 0           │              │          │
└──────────────┴────────────┴───────────────┴──────────────┴─────────────┴──────────────┴──────────┘
- staging: Mend it :smile:. Then go on. Then go on. Then go on. Then go on. Then go on. Then go on. Then go on.
- [red]no such: Read the log of the branch's first failed task, then clear the branch's failed tasks."""


def test_the_whole_table() -> None:
    """Nothing of it is cut, and no line of advice is broken, so that it can be searched and copied."""
    rows = [
        BranchRow.of("production", a_report()),
        BranchRow.of(
            "staging",
            a_report(outcome="incomplete", advice=f"Mend it :smile:.{' Then go on.' * 7}", stores=[LEFT, BEHIND]),
        ),
        BranchRow.of("[red]no\nsuch", None),
    ]
    assert summary_text(rows, width=100) == TABLE


def test_the_table_is_as_wide_as_airflows_log() -> None:
    assert len(summary_text([BranchRow.of("x" * 300, a_report())]).splitlines()[1]) == 160


def test_all_done_passes() -> None:
    check_done([BranchRow.of("production", a_report())])


def test_one_that_is_not_done_is_named() -> None:
    rows = [BranchRow.of("production", a_report()), BranchRow.of("staging", None)]
    with pytest.raises(EmergencyNotDone, match=r"1 of 2 webhooks are not done: staging \(no report\)") as caught:
        check_done(rows)
    assert not caught.value.retry_helps
    assert caught.value.args == (("staging (no report)",), 2)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_none_at_all_is_no_success() -> None:
    with pytest.raises(EmergencyNotDone, match="no webhook was chosen"):
        check_done([])
