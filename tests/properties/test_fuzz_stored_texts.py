"""What a store's place may hold already: it is edited with all else kept to the byte, or refused and left as it is."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.rotation.errors import StoreError
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.object_storage import ObjectStorageStore
from featurebase_provider.stores.shared.formats import Contents, RawFormat
from featurebase_provider.stores.shared.formats.dotenv import DotenvFormat
from featurebase_provider.stores.shared.formats.json import JsonFormat
from tests.properties.any_yaml import yaml_texts
from tests.properties.edits import CURRENT, PREVIOUS, THEIRS, edited, is_in_order
from tests.properties.profile import tries
from tests.world.fakes import WEBHOOK_ID

MARK = StoreMark(WEBHOOK_ID, CURRENT.fingerprint, "https://airflow.example")

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True) | st.sampled_from(["KEY", "OLD", "export", "K"])
dotenv_parts = st.sampled_from(
    [
        "KEY",
        "OLD",
        "=",
        " = ",
        "export ",
        "'",
        '"',
        "\\",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "#",
        " # ",
        "$",
        "${A}",
        "A=1\n",
    ]
    + [
        "\ufeff",
        "\u2028",
        "\x0b",
        "\x85",
        "\x00",
        "KEY=a\n",
        "OLD=b\n",
        "a b",
        "=",
        "KEY='a'\n",
        'export KEY="a" # c\n',
    ]
)
dotenv_texts = st.lists(dotenv_parts, max_size=14).map("".join) | st.text(max_size=40)
json_parts = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "null",
        "true",
        "NaN",
        "1e999",
        "-",
        '"KEY"',
        '"KEY": ',
        '"OLD": "b"',
        '"a"',
        " ",
    ]
    + ["\n", "\ufeff", "\x00", '"\\ud800"', '{"KEY": "a"}', '"\\u004bEY": "a"', "1" * 30, '{"a": 1, "KEY": "a"}', "//"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
json_documents = st.tuples(
    st.dictionaries(st.text(max_size=4) | st.sampled_from(["KEY", "OLD"]), json_values, max_size=5),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
).map(lambda made: json.dumps(made[0], indent=made[1], ensure_ascii=made[2]))
json_texts = json_documents | st.lists(json_parts, max_size=14).map("".join) | st.text(max_size=30)


@tries(700)
@given(dotenv_texts, names, names, st.booleans())
def test_a_dotenv_text_keeps_everybody_elses_variables(text: str, key: str, old: str, keeps: bool) -> None:
    old_key = old if keeps and old != key else None
    text = f"{text}\nTHEIRS={THEIRS}\n"
    form = DotenvFormat("a store", (key,), (old_key,) if old_key else None)
    wanted = Contents(CURRENT.reveal(), PREVIOUS.reveal() if old_key else None)
    new = edited(form, text, wanted)
    if new is None:
        return
    before, after = values_of(text), values_of(new)
    ours = {key, old_key}
    assert {name: value for name, value in after.items() if name not in ours} == {
        name: value for name, value in before.items() if name not in ours
    }
    assert after[key] == CURRENT.reveal()
    foreign = [line for line in text.splitlines(keepends=True) if not any(name and name in line for name in ours)]
    assert is_in_order(foreign, new)


def values_of(text: str) -> dict[str, str | None]:
    return dict(dotenv_values(stream=io.StringIO(text.removeprefix("\ufeff")), interpolate=False))


@tries(700)
@given(json_texts, st.text(min_size=1, max_size=4) | st.just("KEY"), st.sampled_from([None, "OLD"]))
def test_a_json_text_keeps_everybody_elses_members(text: str, key: str, old: str | None) -> None:
    form = JsonFormat("a store", (key,), (old,) if old and old != key else None)
    wanted = Contents(CURRENT.reveal(), PREVIOUS.reveal() if old and old != key else None)
    new = edited(form, text, wanted)
    if new is None or not text.strip("\ufeff \t\r\n"):
        return
    ours = {key, old}
    assert members_of(new, ours) == members_of(text, ours)


path_names = st.sampled_from(["KEY", "a", "b.c", "\u00fc", ""])
nested_documents = st.tuples(
    st.dictionaries(
        path_names,
        st.recursive(
            st.text(max_size=4) | st.integers() | st.none(),
            lambda inner: st.dictionaries(path_names, inner, max_size=3) | st.lists(inner, max_size=2),
            max_leaves=8,
        ),
        max_size=3,
    ),
    st.sampled_from([None, 0, 2, "\t"]),
    st.booleans(),
).map(lambda made: json.dumps(made[0], indent=made[1], ensure_ascii=made[2]))
paths = st.lists(path_names.filter(bool), min_size=1, max_size=3).map(tuple)


@tries(700)
@given(nested_documents | json_texts, paths, st.none() | paths)
def test_a_json_text_keeps_everything_around_a_nested_key(
    text: str, key: tuple[str, ...], old: tuple[str, ...] | None
) -> None:
    if old is not None and (old[: len(key)] == key or key[: len(old)] == old):
        old = None
    form = JsonFormat("a store", key, old)
    new = edited(form, text, Contents(CURRENT.reveal(), PREVIOUS.reveal() if old else None))
    if new is None or not text.strip("\ufeff \t\r\n"):
        return
    assert form.read(new).present
    for path in (key, old) if old else (key,):
        found: Any = json.loads(new.removeprefix("\ufeff"))
        for name in path:
            found = found[name]
        assert found == (CURRENT if path == key else PREVIOUS).reveal()
    before, after = (all_but(pairs_of(one), key, old) for one in (text, new))
    assert before == after
    without = form.edit(new, Contents(CURRENT.reveal()))
    assert all_but(pairs_of(without), key, old) == after


def pairs_of(text: str) -> Any:
    """Objects as tuples of pairs, numbers as they are spelt."""
    return json.loads(
        text.removeprefix("\ufeff"), object_pairs_hook=tuple, parse_float=str, parse_int=str, parse_constant=str
    )


def all_but(pairs: Any, *ours: tuple[str, ...] | None) -> Any:
    """The pairs without what lies at these paths, and without objects that would hold nothing else."""
    for path in filter(None, ours):
        kept = []
        for name, value in pairs:
            if name != path[0]:
                kept.append((name, value))
            elif len(path) > 1 and isinstance(value, tuple) and (inner := all_but(value, path[1:])):
                kept.append((name, inner))
        pairs = tuple(kept)
    return pairs


def members_of(text: str, ours: set[str | None]) -> list[tuple[str, str]]:
    """Everybody else's members in their order, numbers as they are spelt."""
    pairs: list[tuple[str, Any]] = json.loads(
        text.removeprefix("\ufeff"), object_pairs_hook=list, parse_float=str, parse_int=str, parse_constant=str
    )
    return [(name, repr(value)) for name, value in pairs if name not in ours]


@tries(200)
@given(st.text(max_size=30), st.booleans())
def test_a_text_that_is_nothing_but_the_secret_is_replaced(text: str, line_break: bool) -> None:
    edited(RawFormat("a store", line_break=line_break), text, Contents(CURRENT.reveal()))


contents = st.binary(max_size=40) | st.one_of(dotenv_texts, json_texts, yaml_texts).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


@tries(300)
@given(contents, st.sampled_from(["raw", "json", "dotenv", "yaml", "properties"]), st.booleans(), st.booleans())
def test_a_file_is_edited_or_left_to_the_byte(content: bytes, form: str, keeps: bool, create: bool) -> None:
    """Through the store as it is configured: what fails leaves the file, and beside it nothing but the lock."""
    keys = {} if form == "raw" else {"key": "KEY", **({"previous_key": "OLD"} if keeps else {})}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "app.secret"
        file.write_bytes(content)
        store = ObjectStorageStore(
            type="object_storage", path=str(file), format=form, label="file", create=create, **keys
        )  # type: ignore[arg-type]
        armed = store.arm()
        pair = SecretPair(CURRENT, PREVIOUS if keeps and keys else None)
        refusal = None
        try:
            armed.prove_writable()
            held = armed.read()
            assert file.read_bytes() == content
            armed.write(pair, held=held, mark=MARK)
            seen = armed.read()
            assert (seen.current, seen.previous) == (pair.current, pair.previous)
        except StoreError as exc:
            refusal = str(exc)
        if refusal is not None:
            assert file.read_bytes() == content
            assert CURRENT.reveal() not in refusal
        assert {one.name for one in Path(folder).iterdir()} - {".app.secret.featurebase-lock"} == {"app.secret"}
