"""When a run fails: a survivor that nothing explains, or an explanation that is no longer true."""

from __future__ import annotations

import pytest

from dev.mutants.__main__ import Run, main
from dev.mutants.changes import Change, Mutant
from dev.mutants.judges import Judges
from dev.mutants.trials import Verdict

MODULE = "rotation/clock.py"
ONE, TWO = (Change(MODULE, "boot_id", "before", after) for after in ("one", "two"))
MUTANTS = [Mutant(change, 30 + i, range(30, 33), False, change.after) for i, change in enumerate((ONE, TWO))]
JUDGES = Judges({"t": 0.1}, {MODULE: {30: {"t"}}})


def status(one: Verdict, two: Verdict, *explained: Change) -> int:
    run = Run([MODULE], MUTANTS, {0: one, 1: two})
    return run.report(dict.fromkeys(explained, "why"), [ONE, TWO], JUDGES)


def test_all_killed_or_timed_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("killed", "timed out") == 0
    (total,) = [line for line in capsys.readouterr().out.splitlines() if "│ all " in line]
    assert total.replace("│", "").split() == ["all", "2", "1", "0", "0", "1"]


def test_a_survivor_is_listed_with_its_place_as_the_page_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("killed", "survived") == 1
    said = capsys.readouterr().out
    assert f"provider/featurebase_provider/{MODULE}:31\n  - `boot_id`: `before` → `two`\n" in said
    assert "1 changes went unnoticed" in said


def test_an_explained_survivor_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("killed", "survived", TWO) == 0
    assert "boot_id" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("explained", "says"),
    [
        (ONE, "a test notices this by now"),
        (Change(MODULE, "boot_id", "before", "three"), "the code has no such place any more"),
        (Change("rotation/gone.py", "f", "a", "b"), "the code has no such place any more"),
    ],
)
def test_an_explanation_that_is_no_longer_true_is_named(
    explained: Change, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("killed", "survived", TWO, explained) == 1
    assert says in capsys.readouterr().out


def test_explanations_of_modules_and_mutants_that_were_not_tried_stay() -> None:
    untried = Run([MODULE], MUTANTS, {1: "survived"})
    explained = dict.fromkeys((ONE, TWO, Change("rotation/one_store.py", "f", "a", "b")), "why")
    assert untried.report(explained, [ONE, TWO], JUDGES) == 0


def test_a_module_that_there_is_not_is_named() -> None:
    with pytest.raises(SystemExit, match=r"there is no .*rotation/plans\.py"):
        main(["rotation/plans.py"])
