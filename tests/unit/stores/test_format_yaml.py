from __future__ import annotations

import pytest
import yaml

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import Contents
from featurebase_provider.stores.shared.formats.yaml import YamlFormat

FORMAT = YamlFormat("a store", ("a", "key"), ("a", "old"))
TOP = YamlFormat("a store", ("key",), ("old",))
ALONE = YamlFormat("a store", ("key",), None)


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("a:\n  key: x\n", Contents("b"), 'a:\n  key: "b"\n'),
        ("a:\n  key: x\n", Contents("b", "x"), 'a:\n  key: "b"\n  old: "x"\n'),
        ("a:\n  key: 'x'  # c\n  z: 1\nb: 2", Contents("it's"), "a:\n  key: 'it''s'  # c\n  z: 1\nb: 2"),
        ("a:\n  key:   # todo\n  old: y # once\n", Contents("b"), 'a:\n  key: "b"   # todo\n'),
        ("a:\n  key: ~\n  old: y", Contents("b"), 'a:\n  key: "b"\n'),
        ("a:\n  key:\n    'x'\n  b: 1\n", Contents("b", "x"), 'a:\n  key:\n    \'b\'\n  old: "x"\n  b: 1\n'),
        ("a:\r\n  key: x\r\n", Contents("b", "x"), 'a:\r\n  key: "b"\r\n  old: "x"\r\n'),
        ("\ufeffa:\n  key: x\n", Contents("b"), '\ufeffa:\n  key: "b"\n'),
        ("a: {key: x}\n", Contents("b", "x"), 'a: {key: "b", old: "x"}\n'),
        ("a: {key: x, old: y}\n", Contents("b"), 'a: {key: "b", old: ""}\n'),
        ("a: {}\n", Contents("b"), 'a: {key: "b"}\n'),
        ("a: {z: 1}\n", Contents("b"), 'a: {key: "b", z: 1}\n'),
        ("a: {\n  z: 1 }\n", Contents("b"), 'a: {key: "b",\n  z: 1 }\n'),
        ("{}", Contents("b", "x"), '{a: {key: "b", old: "x"}}'),
        ("a:\n  b: 1\n\n# c\nd: 2\n", Contents("b"), 'a:\n  b: 1\n  key: "b"\n\n# c\nd: 2\n'),
        ("a:\n    z: |\n        x\n\nb: 1\n", Contents("b"), 'a:\n    z: |\n        x\n\n    key: "b"\nb: 1\n'),
        ("b:\n - 1\n", Contents("b"), 'b:\n - 1\na:\n  key: "b"\n'),
        ("b:\n   c: 1", Contents("b"), 'b:\n   c: 1\na:\n   key: "b"\n'),
        ("", Contents("b", "x"), 'a:\n  key: "b"\n  old: "x"\n'),
        (None, Contents("b"), 'a:\n  key: "b"\n'),
        ("# c\n---\n", Contents("b"), '# c\n---\na:\n  key: "b"\n'),
        ("x: &x {q: 1}\na:\n  <<: *x\n  key: b\n", Contents("c"), 'x: &x {q: 1}\na:\n  <<: *x\n  key: "c"\n'),
        ("x: &x {}\na:\n  <<: *x\n  key: b", Contents("b", "c"), 'x: &x {}\na:\n  <<: *x\n  key: b\n  old: "c"\n'),
        ("a:\n  ? key\n  : x\n", Contents("b"), 'a:\n  ? key\n  : "b"\n'),
        ("a:\n  old: x\n", Contents("b"), 'a:\n  key: "b"\n'),
        ("c: 1\nb: 2\n", Contents('q"\\'), 'c: 1\nb: 2\na:\n  key: "q\\"\\\\"\n'),
    ],
)  # fmt: skip
def test_edits_our_keys_and_nothing_else(before: str | None, wanted: Contents, after: str) -> None:
    assert FORMAT.edit(before, wanted) == after
    assert FORMAT.read(after) == wanted
    assert FORMAT.edit(after, wanted) == after


def test_without_a_previous_key_that_entry_is_somebody_elses() -> None:
    text = "key: a\nold: [7]\n"
    assert ALONE.read(text) == Contents("a")
    assert ALONE.edit(text, Contents("b", "a")) == 'key: "b"\nold: [7]\n'


def test_a_value_that_is_there_already_is_left_as_it_is_spelt() -> None:
    assert TOP.edit("key: a\nold: 'b'\n", Contents("a", "b")) == "key: a\nold: 'b'\n"


def test_an_entry_alone_in_its_mapping_is_emptied_and_not_removed() -> None:
    form = YamlFormat("a store", ("now", "key"), ("before", "key"))
    assert form.edit("now: {key: a}\nbefore:\n  key: b\n", Contents("c")) == 'now: {key: "c"}\nbefore:\n  key: ""\n'


def test_tells_which_keys_are_there() -> None:
    assert FORMAT.read("a:\n  b: 1\n  old: x\nc: 2\n").keys == ("a.b", "a.old")
    assert FORMAT.read("c: 2\nd.e: 1\n").keys == ("c", "[d.e]")
    assert FORMAT.read("").keys == ()
    assert FORMAT.read("a:\n  key:\n").present
    assert not FORMAT.read("a:\n  keys: 1\n").present


@pytest.mark.parametrize(
    "value",
    [
        "yes",
        "No",
        "012",
        "1e3",
        "0x1f",
        "12:30:00",
        "null",
        "~",
        "2024-01-01",
        "- a",
        "a: b",
        "&a",
        "#a",
        " a ",
        "a #b",
        "<<",
        "=",
        "[",
        "%a",
        "'",
        "''",
        "a\\n",
    ],
)
@pytest.mark.parametrize("text", ["key: x\n", "key: 'x'\n", '{"key": "x"}', "", "key:\n"])
def test_every_value_stays_a_text(text: str, value: str) -> None:
    assert yaml.safe_load(ALONE.edit(text, Contents(value)))["key"] == value


@pytest.mark.parametrize("name", ["yes", "on", "null", "1", "a b", "a: b", "#a", "é", "x.y", "-", "a-b_c"])
def test_every_name_stays_a_text(name: str) -> None:
    form = YamlFormat("a store", ("app", name), None)
    for text in ("", "app:\n  x: 1\n", "app: {}\n"):
        assert yaml.safe_load(form.edit(text, Contents("b")))["app"][name] == "b"


@pytest.mark.parametrize("value", ["ü", "a\nb", "\t", "\x7f", "\ud800"])
def test_values_beyond_printable_ascii_are_refused(value: str) -> None:
    with pytest.raises(StoreRefused, match="printable ASCII") as caught:
        ALONE.edit("key: a\n", Contents(value))
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a:\n  key: &s x\n", "line 2: 'a.key' has an anchor"),
        ("s: &s x\na:\n  key: *s\n", "line 3: 'a.key' is an alias"),
        ("s: &s\n  key: x\na: *s\n", "line 3: 'a' is an alias"),
        ("&a a:\n  key: x\n", "has an anchor"),
        ("--- &r\na:\n  key: x\n", "'the document' has an anchor"),
        ("a: !!map\n  key: x\n", "line 1: 'a' has an anchor (&), an alias (*) or a tag (!)"),
        ("x: &x {key: 1}\ny: &y\n  <<: [*x]\na:\n  <<: *y\n", "'a.key' is taken over from another mapping by <<"),
        ("a:\n  key: 7\n", "line 2: 'a.key' holds a number, not a text"),
        ("a:\n  key: [x]\n", "line 2: 'a.key' holds a list, not a text"),
        ("a:\n  key: 2024-01-01\n", "'a.key' holds a date"),
        ("a: null\n", "line 1: 'a' holds null, not a mapping"),
        ("a:\n  key: x\na:\n  b: 1\n", "lines 1 and 3 both define 'a'"),
        ("a.key: x\n", "line 1 spells 'a.key' as one name with dots"),
        ("a: {key, b}\n", "line 1 has a key without a value"),
        ("- a:\n", "no YAML mapping"),
        ("a", "no YAML mapping"),
        ("a: 1\n---\nb: 2\n---\n", "3 YAML documents"),
        ("a: [\n", "not valid YAML, see line 2"),
        ("a: \x01\n", "a character that YAML does not allow"),
        ("a: '\ud800'\n", "a character that YAML does not allow"),
        ("a: \x85\n", "line 1 has a character that some YAML readers take for a line break"),
        ("a:\n  z: |\n    x", "can't be edited without changing what stands beside it"),
        ("a:\n  ? z\n  : 1\n", "line 2 begins a mapping behind something else"),
        ("{{ a }}\n", "a key that is no text"),
        ("[" * 200_000, "nested more than 100 deep"),
    ],
)  # fmt: skip
def test_what_cant_be_edited_safely_is_refused(text: str, what: str) -> None:
    with pytest.raises(StoreRefused) as caught:
        FORMAT.edit(text, Contents("new"))
    assert what in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert caught.value.__cause__ is None


def test_aliases_that_stand_for_millions_of_values_are_no_work() -> None:
    bomb = "l0: &l0 [x]\n" + "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 20))
    assert ALONE.edit(bomb + "key: a\n", Contents("b")) == bomb + 'key: "b"\n'
    ring = "ring: &ring [*ring]\nkey: a\n"
    assert ALONE.edit(ring, Contents("b")).endswith('key: "b"\n')


def test_deep_documents_leave_the_stack_alone() -> None:
    deep = "".join(" " * n + "a:\n" for n in range(90)) + "key: a\n"
    assert ALONE.edit(deep, Contents("b")).endswith('key: "b"\n')
