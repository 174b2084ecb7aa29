"""Imports run one way, those for types and those inside functions too, which import-linter does not see."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[2] / "provider"
PACKAGE = "featurebase_provider"
LAYERS = (
    "featurebase",
    "rotation",
    "audit",
    "airflow_compat",
    "stores",
    "config",
    "hooks",
    "triggers",
    "operators",
    "sensors",
    "dag_factory",
    "cli",
    "plugins",
)
"""From the lowest up: a module imports from its own layer and from those before it."""
LONGEST = 350
"""Lines of a file that still has one subject."""


def modules_below(source: Path) -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in sorted((source / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, modules: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """The package's modules that a file imports wherever in it, each with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name of what is imported"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else str(node.module) for name in whole]
        else:
            continue
        yield from ((name, node.lineno) for name in names if name in modules)


def circle_in(modules: dict[str, Path]) -> str | None:
    """The files of a circle of imports, each with the line that imports the next; None where there is none."""
    lines = {name: dict(reversed(list(imports_of(path, modules)))) for name, path in modules.items()}
    try:
        TopologicalSorter({name: set(found) - {name} for name, found in lines.items()}).prepare()
    except CycleError as exc:
        circle = list(reversed(exc.args[1]))
        steps = [f"{modules[a]}:{lines[a][b]} imports {b}" for a, b in zip(circle, circle[1:], strict=False)]
        return "\n".join(steps)
    return None


def layer_of(name: str) -> int | None:
    """The number of a module's layer; None for what is in none (the sandbox, the package itself)."""
    part = name.split(".")[1] if "." in name else ""
    return LAYERS.index(part) if part in LAYERS else None


def arrows_up(modules: dict[str, Path]) -> list[str]:
    """Imports of a higher layer."""
    found = []
    for name, path in modules.items():
        for other, line in imports_of(path, modules):
            own, its = layer_of(name), layer_of(other)
            if own is not None and its is not None and its > own:
                found.append(f"{path}:{line} imports {other}")
    return found


def test_no_circle() -> None:
    assert circle_in(modules_below(SOURCE)) is None


def test_no_arrow_up() -> None:
    assert arrows_up(modules_below(SOURCE)) == []


def test_every_folder_has_its_layer() -> None:
    folders = {path.parent.name for path in (SOURCE / PACKAGE).glob("*/__init__.py")}
    assert folders - {"sandbox"} == set(LAYERS)


@pytest.mark.parametrize(
    "text",
    [
        "from featurebase_provider.b import y",
        "import featurebase_provider.b",
        "from featurebase_provider import b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from featurebase_provider.b import y",
        "def f():\n    from featurebase_provider.b import y",
    ],
)
def test_a_circle_is_seen_however_it_is_written(tmp_path: Path, text: str) -> None:
    package = tmp_path / PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text(text)
    (package / "b.py").write_text("from featurebase_provider.a import x\n")
    found = circle_in(modules_below(tmp_path))
    assert found is not None
    line = text.count("\n") + 1
    assert f"{package / 'a.py'}:{line} imports featurebase_provider.b" in found
    assert f"{package / 'b.py'}:1 imports featurebase_provider.a" in found


def test_an_arrow_up_is_seen(tmp_path: Path) -> None:
    for folder in ("rotation", "stores"):
        (tmp_path / PACKAGE / folder).mkdir(parents=True)
        (tmp_path / PACKAGE / folder / "__init__.py").write_text("")
    low = tmp_path / PACKAGE / "rotation" / "low.py"
    low.write_text("def f():\n    from featurebase_provider import stores\n")
    assert arrows_up(modules_below(tmp_path)) == [f"{low}:2 imports featurebase_provider.stores"]


def test_no_file_is_longer_than_one_subject() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in modules_below(SOURCE).values()}
    assert {str(path): length for path, length in lengths.items() if length > LONGEST} == {}
