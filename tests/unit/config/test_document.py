"""The YAML reader: lines, duplicate keys, plain scalars, and files made to hurt."""

from __future__ import annotations

import pytest
import yaml

from featurebase_provider.config import document
from featurebase_provider.config.document import Unreadable, read_document


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def parser(request, monkeypatch):
    """Both of PyYAML's parsers give the same."""
    if request.param == "python":
        monkeypatch.setattr(document, "_Loader", yaml.SafeLoader)
    elif not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")


def plain(text):
    root, faults = read_document(text)
    assert faults == []
    return root.plain()


def unreadable(text):
    with pytest.raises(Unreadable) as caught:
        read_document(text)
    return caught.value.fault


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("nULL", "nULL"),
        ("true", True), ("False", False), ("tRue", "tRue"), ("yes", "yes"), ("off", "off"), ("'true'", "true"),
        ("12", 12), ("-3", -3), ("012", 12), ("0x1f", "0x1f"), ("1_000", "1_000"), ("12:30:45", "12:30:45"),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1e999", "1e999"), (".inf", ".inf"), (".nan", ".nan"),
        ("507011774786862799439011", "507011774786862799439011"),
        ("507e12345678901234567890", "507e12345678901234567890"),
        ("2026-01-01", "2026-01-01"), ("'12'", "12"), ("!!str 12", "12"), ("|\n  a\n  b\n", "a\nb\n"),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_yaml_1_2_says(written, meant):
    """No dates, no yes and no, and no number that would change a webhook's id."""
    value = plain(f"a: {written}")["a"]
    assert (type(value), value) == (type(meant), meant)


def test_lines_are_those_of_the_file():
    root, _ = read_document("a:\n  - b: 1\n    c:\n\n      2\n")
    item = root.child("a").child(0)
    assert (root.key_lines["a"], item.line, item.key_lines["c"], item.child("c").line) == (1, 2, 3, 5)
    assert item.child("d") is None
    assert root.child("a").child(1) is None
    assert item.child("b").child("x") is None


def test_every_duplicate_key_is_a_fault():
    """Also within a list, and a third time."""
    _, faults = read_document("a: 1\nb:\n  - c: 1\n    c: 2\na: 3\na: 4\n")
    assert [(fault.line, fault.field) for fault in faults] == [(4, "b[0].c"), (5, "a"), (6, "a")]
    assert faults[0].message == "is given twice in this mapping; first on line 3"


@pytest.mark.parametrize("key", ["1", "true", "null", "[a]", "{a: b}", "1.5"])
def test_a_key_that_is_no_text_is_a_fault(key):
    _, faults = read_document(f"a:\n  ? {key}\n  : 1\n")
    assert [(fault.line, fault.field, fault.message) for fault in faults] == [
        (2, "a", "a key must be text; put it in quotes")
    ]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!int", "!vault", "!!binary", "!!timestamp"])
def test_a_tag_is_a_fault_and_builds_nothing(tag):
    for text in (f"a: {tag} '1'", f"a: {tag} [1]"):
        _, faults = read_document(text)
        assert [(fault.line, fault.field) for fault in faults] == [(1, "a")]
        assert "are not allowed in this file" in faults[0].message


def test_anchors_aliases_and_merge_keys_work():
    text = """
base: &base {a: 1, b: {c: 2}}
list: [*base, *base]
own: {<<: *base, a: 3}
two: {<<: [*base, {d: 4}], b: 5}
"""
    base = {"a": 1, "b": {"c": 2}}
    assert plain(text) == {
        "base": base,
        "list": [base, base],
        "own": {"a": 3, "b": {"c": 2}},
        "two": {"b": 5, "a": 1, "d": 4},
    }


def test_a_merge_of_something_else_is_a_fault():
    _, faults = read_document("a: {<<: 5}\nb: {<<: [1]}")
    assert [(fault.line, fault.field) for fault in faults] == [(1, "a"), (2, "b")]


def test_an_alias_bomb_is_refused_early():
    """Nine lines that stand for a billion values are counted, not built."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 50000 values" in unreadable("\n".join(lines)).message


def test_a_merge_bomb_is_refused_early():
    keys = ", ".join(f"k{n}: 1" for n in range(1000))
    text = f"a: &a {{{keys}}}\nb: {{{', '.join(['<<: *a'] * 60)}}}"
    assert "merges more than 50000 values" in unreadable(text).message


@pytest.mark.parametrize("text", ["[" * 200, "- " * 200, "{a: " * 200])
def test_deep_nesting_is_refused(text):
    assert "nested more than 40 deep" in unreadable(text).message


def test_deep_nesting_through_aliases_is_refused():
    lines = ["a0: &a0 " + "[" * 30 + "]" * 30, "a1: " + "[" * 30 + "*a0" + "]" * 30]
    assert "nested more than 40 deep" in unreadable("\n".join(lines)).message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: &a [*a]", 1, "is inside its own anchor"),
        ("a:\n  b: *nowhere", 2, "undefined alias"),
        ("a: &a 1\nb: &a 2", 2, "duplicate anchor"),
        ("a: 1\n---\nb: 2", 2, "a single document"),
        ("a:\n\tb: 1", 2, "a tab indents this line"),
        ("a: 1\nb: [1", 2, "this is not valid YAML"),
        ("a: b: c", 1, "mapping values are not allowed"),
        ("a: 'x", 1, "this is not valid YAML"),
        ("- a\nb: 1", 2, "this is not valid YAML"),
        ("a: \x07", 0, "a character that YAML does not allow"),
        ("a: !foo!x 1", 1, "tag handle"),
    ],
)
def test_broken_yaml_is_one_fault_with_its_line(text, line, words):
    fault = unreadable(text)
    assert words in fault.message
    assert fault.line in ({line, line + 1} if "valid YAML" in fault.message else {line})


def test_a_syntax_fault_does_not_quote_the_line():
    """The parser's snippet would show what stands there."""
    assert "hunter2" not in unreadable('a: "hunter2\nb: : [').message


def test_an_empty_text_has_no_tree():
    assert read_document("") == (None, [])
