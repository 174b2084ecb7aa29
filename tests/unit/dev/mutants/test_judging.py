"""Who judges a mutant, what earlier runs tell, and what becomes of a mutant that is tried."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from coverage import CoverageData

from dev.mutants.changes import Change, Mutant
from dev.mutants.forks import PACKAGE
from dev.mutants.judges import Judges, _by_line, digest_of
from dev.mutants.kept import Kept

ROOT = Path(__file__).parents[4]
MUTANT = Mutant(Change("rotation/plan.py", "f", "a", "b"), 3, range(3, 5), False, "source")
OWN, NEAR, FAR = (f"tests/unit/{name}::t" for name in ("rotation/test_plan.py", "rotation/test_a.py", "cli/test_b.py"))


def test_the_tests_that_run_a_line_judge_it_the_nearest_and_quickest_first() -> None:
    seconds = {OWN: 5.0, f"{OWN}2": 0.1, f"{OWN}_constant": 9.0, NEAR: 0.2, FAR: 0.0, f"{NEAR}_other": 0.0}
    judges = Judges(seconds, {"rotation/plan.py": {3: {FAR}, 4: {NEAR, OWN}, 9: {f"{OWN}2"}, 11: set()}})
    everybody = [f"{OWN}2", OWN, f"{OWN}_constant", NEAR, FAR]
    assert judges.of("rotation/plan.py", range(3, 5), at_import=False) == [OWN, NEAR, FAR]
    assert judges.of("rotation/plan.py", range(7, 8), at_import=False) == []
    assert judges.of("rotation/plan.py", range(11, 12), at_import=False) == everybody
    assert judges.of("rotation/plan.py", range(1, 2), at_import=True) == everybody


def test_what_one_test_sets_up_its_whole_file_judges(tmp_path: Path) -> None:
    """A fixture of a module runs once, for the first of its tests."""
    data = CoverageData(str(tmp_path / "coverage"))
    path = str((PACKAGE / "rotation" / "plan.py").resolve())
    for context, line in ((f"{OWN}[a]|setup", 1), (f"{OWN}[b]|run", 2), ("", 3)):
        data.set_context(context)
        data.add_lines({path: [line]})
    data.write()
    told = _by_line(tmp_path / "coverage", [OWN, f"{OWN}2", FAR])
    assert told == {"rotation/plan.py": {1: [OWN, f"{OWN}2"], 2: [OWN], 3: []}}


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """Killed stays killed; a survivor is tried again when a test may have been added."""
    file, other = tmp_path / "results", replace(MUTANT, source="other")
    kept = Kept(file, "today")
    assert kept.of(MUTANT) is None
    kept.add(MUTANT, "survived")
    kept.add(other, "killed")
    assert [Kept(file, "today").of(one) for one in (MUTANT, other)] == ["survived", "killed"]
    assert [Kept(file, "tomorrow").of(one) for one in (MUTANT, other)] == [None, "killed"]
    assert Kept(file, "today").of(replace(MUTANT, source="the module has changed")) is None


def test_a_digest_names_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = digest_of(str(tmp_path))
    (tmp_path / "a.py").write_text("2")
    second = digest_of(str(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({first, second, digest_of(str(tmp_path))}) == 3


TRY = """
import json, sys
from dev.mutants import trials
from dev.mutants.forks import load_heavy_modules
load_heavy_modules()
module, test = "rotation/clock.py", sys.argv[1]
same = (trials.PACKAGE / module).read_text()
def judged(patience, **sources):
    tried = [trials.Trial(key, module, source, (test,), 0.0) for key, source in sources.items()]
    tried.append(trials.Trial("untested", module, "raise RuntimeError", (), 0.0))
    return {trial.key: verdict for trial, verdict in trials.judge(tried, 2, patience=patience)}
ended = judged(600.0, same=same, wrong=same.replace("* 1000", "* 1001"), broken="raise RuntimeError")
print(json.dumps({**ended, **judged(1.0, endless=same + "\\nwhile True: pass")}))
"""


def test_trials(tmp_path: Path) -> None:
    """A change is in place before anything has the module, and what hangs is ended."""
    command = [
        str(ROOT / "scripts" / "temp_airflow.sh"),
        sys.executable,
        "-c",
        TRY,
        "tests/unit/rotation/test_clock.py",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("untested") == "survived"
    assert told == {"same": "survived", "wrong": "killed", "broken": "killed", "endless": "timed out"}
