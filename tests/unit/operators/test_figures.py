"""What is told to Airflow's stats, and under which names. tests/airflow/test_metrics.py hears it of whole runs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.audit.report import AuditReport
from featurebase_provider.audit.row import DAY, AgeLimit, AuditedWebhook
from featurebase_provider.operators.figures import tell_of_audit, tell_of_stores
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.check import HeldByStore
from featurebase_provider.rotation.pair_report import PairFacts
from featurebase_provider.rotation.plan import HealthFigures
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.run_facts import RunFacts
from tests.world.fakes import a_plan, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

Told = list[tuple[str, float, dict[str, str]]]


def audited(*, age: float | None = None, max_age: float | None = None, holding: Sequence[str] = ()) -> AuditReport:
    stores = tuple(HeldByStore(f"store_{number}", "file", one) for number, one in enumerate(holding))  # type: ignore[arg-type]
    aged = AgeLimit(at_most=None if age is None else age * DAY, max_age=None if max_age is None else max_age * DAY)
    row = AuditedWebhook("a.b", "fb", None, "active", None, None, stores, aged=aged)
    return AuditReport("2026-01-01", {}, (row,), (), 0.1)


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({"age": 3.5, "max_age": 90.0}, {"secret_age_days": 3.5, "days_to_max_age": 86.5}),
        ({"age": 91.0, "max_age": 90.0}, {"secret_age_days": 91.0, "days_to_max_age": -1.0}),
        ({"age": 3.5}, {"secret_age_days": 3.5}),
        ({"max_age": 90.0}, {}),
        ({"holding": ["matches", "differs", "absent", "unknown"]}, {"drifted_stores": 2}),
        ({"holding": ["matches"]}, {"drifted_stores": 0}),
    ],
)
def test_a_webhook_is_in_the_name_as_one_part(facts: dict[str, Any], names: dict[str, float], told: Told) -> None:
    """What is not known is not told; a store that could not be read is no drifted one."""
    tell_of_audit(audited(**facts))
    assert {name: value for name, value, _ in told} == {f"featurebase.{one}.a_b": value for one, value in names.items()}
    assert all(tags == {"webhook": "a.b"} for *_, tags in told)


def test_a_store_of_ones_own_without_a_type_is_other(told: Told) -> None:
    tell_of_stores("hook", [SimpleNamespace(label="mine")], [StoreOutcome("mine", "m", "written", write_ms=2.0)])  # type: ignore[list-item]
    tags = {"webhook": "hook", "store": "mine", "type": "other"}
    assert told == [("featurebase.store_write.other", 2.0, tags)]


@pytest.mark.parametrize(
    ("of_pair", "names"), [(False, ["store_write", "exposure.readable", "exposure.confirmed"]), (True, ["store_write"])]
)
def test_a_pairs_standby_exposes_nothing(of_pair: bool, names: list[str], told: Told) -> None:
    store = SimpleNamespace(label="mine", type="sql")
    outcome = StoreOutcome("mine", "m", "written", readable_ms=3.0, confirmed_ms=5.0, write_ms=2.0)
    tell_of_stores("hook", [store], [outcome, StoreOutcome("mine", "m", "failed")], of_pair=of_pair)  # type: ignore[list-item]
    assert [name for name, *_ in told] == [f"featurebase.{name}.sql" for name in names]


@pytest.mark.parametrize(
    ("before", "failing", "seen"), [(None, 3, 3), (0, 0, 0), (2, 5, 3), (5, 2, 2), (None, None, None)]
)
def test_failures_in_a_row_from_before_the_refresh_are_not_the_runs(
    before: int | None, failing: int | None, seen: int | None
) -> None:
    """Fewer than before means that a success came in between."""
    plan = replace(a_plan(), health=HealthFigures(consecutive_failures=before))
    rotated = RotationOutcome(plan, "answered", fingerprint("1"))
    assert RunFacts(plan, rotated, {}, failing=failing).refusals_seen == seen


def test_a_pairs_refusals_are_those_of_its_cut_over() -> None:
    pair = PairFacts("a", "b", "rotate", refused=2)
    assert RunFacts(None, None, {}, pair=pair, failing=7).refusals_seen == 2
    assert RunFacts(None, None, {}, failing=7).refusals_seen is None, "nothing was refreshed"
