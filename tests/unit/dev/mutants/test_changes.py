"""Which changes are made to a module, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.mutants.changes import Change, mutants_of

PROVIDER = Path(__file__).parents[4] / "provider" / "featurebase_provider"


def changes(folder: Path, text: str) -> dict[tuple[str, str], str]:
    """The changed statements of a module, and the function that each is in."""
    path = folder / "module.py"
    path.write_text(text)
    found = [mutant.change for mutant in mutants_of(path, "module.py")]
    return {(change.before, change.after): change.function for change in found}


@pytest.mark.parametrize(
    ("line", "before", "after"),
    [
        ("since = pushed + timeout", "since = pushed + timeout", "since = pushed"),
        ("look(at, pushed_at=pushed)", "look(at, pushed_at=pushed)", "look(at)"),
        ("look(at, pushed_at=pushed)", "look(at, pushed_at=pushed)", "look(at, pushed_at=None)"),
        ("if backfill: skip()", "if backfill:", "if False:"),
        ("return dag == its and run == other", "return dag == its and run == other", "return run == other"),
        ("x = plan.leaked | emergencies", "x = plan.leaked | emergencies", "x = plan.leaked"),
        ("x = Task(inlets=[plan, report])", "x = Task(inlets=[plan, report])", "x = Task(inlets=[plan])"),
        ("return {'a': 1, 'b': c}", "return {'a': 1, 'b': c}", "return {'a': 1}"),
        ("check(store)", "check(store)", "pass"),
        ("raise Refused(store)", "raise Refused(store)", "pass"),
        ("x = max(a, b)", "x = max(a, b)", "x = min(a, b)"),
        ("return state == 'active'", "return state == 'active'", "return state == 'XXactive'"),
        ("return found", "return found", "return None"),
        ("x = a < b", "x = a < b", "x = a <= b"),
        ("x = a if b else c", "x = a if b else c", "x = a if False else c"),
        ("x = [a for a in b if a.ours]", "x = [a for a in b if a.ours]", "x = [a for a in b if True]"),
    ],
)
def test_a_fault_of_the_kind_is_tried(tmp_path: Path, line: str, before: str, after: str) -> None:
    """Among them are the eight that review had found unnoticed before there was this run."""
    assert changes(tmp_path, f"def f(self):\n    {line}\n").get((before, after)) == "f"


@pytest.mark.parametrize(
    "line",
    [
        "log.info('so many: %s', count)",
        "self.log.warning('late')",
        "'a docstring'",
        "import x",
        "x: list[int]",
    ],
)
def test_what_no_test_can_or_need_tell_stays(tmp_path: Path, line: str) -> None:
    assert not changes(tmp_path, f"def f(self):\n    {line}\n")


def test_texts_for_people_stay_in_their_places(tmp_path: Path) -> None:
    """The error must be raised, and of its store; its wording is for review."""
    text = 'def f():\n    raise Refused(store, f"it holds {shown}", "Adopt " "it")\n'
    afters = {after for _, after in changes(tmp_path, text)}
    assert afters == {"pass", 'raise Refused(None, f"it holds {shown…'}


def test_how_a_table_looks_stays(tmp_path: Path) -> None:
    text = 'def f():\n    add_column(name, justify="right", overflow="fold")\n'
    afters = {after for _, after in changes(tmp_path, text)}
    assert afters == {"pass", 'add_column(None, justify="right",…'}


def test_types_stay(tmp_path: Path) -> None:
    text = "if TYPE_CHECKING:\n    import x\nT = TypeVar('T')\ndef f(a: int | None) -> list[int]: ...\n"
    assert not changes(tmp_path, text)


def test_defaults_and_what_runs_at_import_are_tried(tmp_path: Path) -> None:
    found = changes(tmp_path, "LIMIT = 5\nclass A:\n    retries: int = 3\n    def f(self, wait=1): ...\n")
    assert found == {
        ("LIMIT = 5", "LIMIT = 6"): "",
        ("retries: int = 3", "retries: int = 4"): "A",
        ("def f(self, wait=1):", "def f(self, wait=2):"): "A.f",
    }


def test_a_name_outlives_moved_and_wrapped_lines(tmp_path: Path) -> None:
    short = "def f():\n    return call(one, two=three)\n"
    moved = "import x\n\n\ndef f():\n    y()\n    return call(\n        one,  # 1\n        # 2\n        two=three)\n"
    assert changes(tmp_path, short).items() <= changes(tmp_path, moved).items()


@pytest.mark.parametrize("module", ["operators/distributed.py", "dag_factory/rotation.py"])
def test_each_mutant_is_another_module_with_one_change(module: str) -> None:
    path = PROVIDER / module
    text = path.read_text()
    mutants = mutants_of(path, module)
    assert len({mutant.source for mutant in mutants}) == len(mutants) > 40
    for mutant in mutants:
        assert mutant.source != text
        compile(mutant.source, module, "exec")
        same = sum(a == b for a, b in zip(text.splitlines(), mutant.source.splitlines(), strict=False))
        assert same >= mutant.line - 20
        assert mutant.line in mutant.lines


def test_a_change_knows_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("def f():\n    return call(\n        one,\n        two,\n    )\n")
    (mutant,) = [one for one in mutants_of(path, "m.py") if one.change.after.endswith("None)")]
    assert (mutant.line, mutant.lines, mutant.at_import) == (2, range(2, 6), False)
    assert mutant.change == Change("m.py", "f", "return call(one, two)", "return call(one, None)")
