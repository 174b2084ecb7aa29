"""What people read about each kind of finding, in the page and in an audit's advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from featurebase_provider.audit.findings import ADVICE, HEALABLE, Finding
from featurebase_provider.audit.kinds import KINDS
from featurebase_provider.config.models import EMERGENCY_DAG_ID
from featurebase_provider.rotation.modes import PAIR_MODES
from tests.world.fakes import WEBHOOK_ID

DOCS = Path(__file__).parents[3] / "docs" / "audit.md"


def documented() -> dict[str, list[str]]:
    """The page's table, by kind."""
    section = DOCS.read_text().partition("## Findings")[2].partition("## Age")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return {kind.strip(" `"): [cell.strip() for cell in cells] for kind, *cells in rows}


def test_every_kind_is_documented_with_whether_it_heals() -> None:
    cells = documented()
    assert set(cells) == set(KINDS)
    assert {kind for kind, row in cells.items() if row[-1].startswith("yes")} == HEALABLE


def test_every_kind_says_what_to_do() -> None:
    assert set(ADVICE) == set(KINDS)
    assert all(text.endswith(".") for text in ADVICE.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_audit_is_offered_as_the_healer_of_just_what_it_heals(kind: str) -> None:
    text = ADVICE[kind]
    assert ("mode=distribute" in text and "turn on heal in the audit" in text) is (kind in HEALABLE)


def test_advice_names_modes_and_dags_that_there_are() -> None:
    text = " ".join(ADVICE.values())
    assert set(re.findall(r"mode=(\w+)", text)) <= set(PAIR_MODES)
    assert set(re.findall(r"featurebase_\w+_rotation", text)) == {EMERGENCY_DAG_ID}


def test_a_finding_survives_json() -> None:
    finding = Finding("store_absent", "it is empty", "production", "vault", "main", WEBHOOK_ID, False, True, "a_dag")
    assert Finding.from_json({**finding.as_json(), "of_a_newer_version": 1}) == finding


def test_a_finding_of_which_little_is_told_is_open_and_healed_by_nothing() -> None:
    """An older version may have told no more of it."""
    finding = Finding.from_json({"kind": "key_refused", "detail": "no"})
    assert (finding.ignored, finding.heals, finding.dag_id) == (False, False, None)


def test_where_a_finding_without_a_name_is() -> None:
    assert Finding("key_refused", "no", conn_id="main").where == "connection main"
    assert Finding("webhook_unconfigured", "no", conn_id="main", webhook_id=WEBHOOK_ID).where == WEBHOOK_ID
