"""Files of the shapes that people have, edited, and read by the programs that read such files."""

from __future__ import annotations

import copy
import shutil
import sys
from collections import Counter
from os.path import commonprefix
from pathlib import Path
from typing import Any

import pytest

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import Contents, KeyPath
from tests.contract.corpus import dotenv_shapes, json_shapes, properties_shapes, yaml_shapes
from tests.contract.corpus.readers import NODE, PYTHON, Tree, read_by_compose, read_by_node_itself, read_in_node
from tests.contract.corpus.shape import NEW, OLD, THEIRS, Shape
from tests.world.npm import installed, missing

MODULES = (dotenv_shapes, json_shapes, yaml_shapes, properties_shapes)
EDITED = [shape for module in MODULES for shape in module.EDITED]
REFUSED = [shape for module in MODULES for shape in module.REFUSED]
ENV_FILES = [shape for shape in EDITED if shape.format == "dotenv"]
STEPS = ("before", "rotated", "kept", "dropped")
PUNCTUATION = set(" \t\r\n\"'=:.{},")


def test_the_corpus_is_large_and_no_file_is_twice_in_it() -> None:
    files = EDITED + REFUSED
    assert len(EDITED) >= 60
    assert len({(shape.format, shape.before) for shape in files}) == len(files)
    assert len({shape.name for shape in files}) == len(files)


@pytest.mark.parametrize("shape", EDITED, ids=str)
def test_every_other_byte_is_kept(shape: Shape) -> None:
    found = shape.form().read(shape.before)
    if found.current:
        assert found.current == OLD
        if shape.name != "continued-ours.properties":  # its value becomes one line
            assert shape.rotated in {shape.before.replace(OLD, value) for value in (NEW, f'"{NEW}"')}
    else:
        assert_only_added(shape.before, shape.rotated, shape.key, NEW)
    assert shape.kept == shape.form().edit(shape.rotated, Contents(NEW, OLD))
    if found.previous:
        assert shape.kept in {shape.rotated.replace(found.previous, value) for value in (OLD, f'"{OLD}"')}
    else:
        assert_only_added(shape.rotated, shape.kept, shape.previous_key, OLD)
    lines = shape.kept.splitlines(keepends=True)
    if [line for line in lines if OLD not in line] != shape.dropped.splitlines(keepends=True):
        assert_only_added(shape.dropped, shape.kept, shape.previous_key, OLD)


def assert_only_added(without: str, text: str, path: KeyPath, value: str) -> None:
    """One text is the other with an entry in it; where there was an empty value, that may be gone."""
    start = len(commonprefix([without, text]))
    end = len(commonprefix([without[start:][::-1], text[start:][::-1]]))
    gone, added = without[start : len(without) - end], text[start : len(text) - end]
    assert gone.strip(" ") in ("", "null", '""', "''")
    left = Counter(added) - Counter("".join(path)) - Counter(value)
    assert value in added * 2  # what is alike at both ends counts to either
    assert set(left) <= PUNCTUATION
    assert left.total() < 60


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    return installed(Path(__file__).parent / "node_readers")


@pytest.fixture(scope="module")
def seen_in_node(folder: Path) -> dict[tuple[str, str, str], Tree]:
    """By file, step and reader."""
    asked = [
        ((shape.name, step, reader), getattr(shape, step))
        for shape in EDITED
        for step in STEPS
        for reader in NODE.get(shape.format, ())
    ]
    answers = read_in_node(folder, [(name[2], text) for name, text in asked])
    return {name: answer for (name, _), answer in zip(asked, answers, strict=True)}


@pytest.mark.parametrize(
    ("shape", "reader"), [(shape, reader) for shape in EDITED for reader in PYTHON[shape.format]], ids=str
)
def test_readers_see_the_new_secret_and_all_else_as_before(shape: Shape, reader: str) -> None:
    read = PYTHON[shape.format][reader]
    assert_seen(shape, reader, [read(getattr(shape, step)) for step in STEPS])


@pytest.mark.parametrize(
    ("shape", "reader"), [(shape, reader) for shape in EDITED for reader in NODE.get(shape.format, ())], ids=str
)
def test_readers_in_node_do(shape: Shape, reader: str, seen_in_node: dict[tuple[str, str, str], Tree]) -> None:
    assert_seen(shape, reader, [seen_in_node[shape.name, step, reader] for step in STEPS])


@pytest.mark.parametrize("shape", ENV_FILES, ids=str)
def test_an_env_file_of_node_is_read_as_its_parser_says(
    shape: Shape, seen_in_node: dict[tuple[str, str, str], Tree]
) -> None:
    assert read_by_node_itself(shape.kept) == seen_in_node[shape.name, "kept", "node"]


def test_compose_does() -> None:
    compose = Path(sys.executable).with_name("docker-compose")
    program = str(compose) if compose.exists() else shutil.which("docker-compose")
    if program is None:
        missing("docker-compose is not installed")
    shapes = [shape for shape in ENV_FILES if "compose" not in shape.blind]
    seen = read_by_compose(program, [getattr(shape, step) for shape in shapes for step in STEPS])
    for number, shape in enumerate(shapes):
        assert_seen(shape, "compose", seen[number * len(STEPS) : (number + 1) * len(STEPS)])


def assert_seen(shape: Shape, reader: str, seen: list[Tree]) -> None:
    before, rotated, kept, dropped = (tree or {} for tree in seen)
    paths = [(".".join(path),) if shape.format == "properties" else path for path in (shape.key, shape.previous_key)]
    if reader in shape.blind:
        assert value_at(before, paths[0]) != OLD, f"{reader} can read it after all"
        return
    found = shape.form().read(shape.before)
    assert (value_at(before, paths[0]) or None) == found.current
    for tree, previous in ((rotated, found.previous), (kept, OLD), (dropped, None)):
        assert value_at(tree, paths[0]) == NEW
        assert (value_at(tree, paths[1]) or None) == previous
        assert without(tree, paths) == without(before, paths)


def value_at(tree: Any, path: KeyPath) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def without(tree: Any, paths: list[KeyPath]) -> Any:
    """All but our values, and but the mappings that hold nothing else."""
    tree = copy.deepcopy(tree)
    for path in paths:
        for depth in range(len(path), 0, -1):
            outer = value_at(tree, path[: depth - 1])
            if isinstance(outer, dict) and (depth == len(path) or not outer.get(path[depth - 1], "theirs")):
                outer.pop(path[depth - 1], None)
    return tree


@pytest.mark.parametrize("shape", REFUSED, ids=str)
def test_what_cant_be_edited_safely_is_refused(shape: Shape) -> None:
    with pytest.raises(StoreRefused) as caught:
        shape.form().edit(shape.before, Contents(NEW, OLD))
    message = str(caught.value)
    assert shape.refused in message
    assert "nothing was changed" in message
    assert message.isprintable()
    assert not any(value in message for value in (NEW, OLD, THEIRS))
