from __future__ import annotations

import pytest

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import Contents
from featurebase_provider.stores.shared.formats.properties import PropertiesFormat

FORMAT = PropertiesFormat("a store", ("a", "key"), ("a", "old"))
ALONE = PropertiesFormat("a store", ("a", "key"), None)


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("# c\na.key=x\nb=1", Contents("b"), "# c\na.key=b\nb=1"),
        ("a.key: x\r\nb: 1\r\n", Contents("b", "x"), "a.key: b\r\na.old=x\r\nb: 1\r\n"),
        ("a.key x\n", Contents("b"), "a.key b\n"),
        ("a.key\n", Contents("b"), "a.key=b\n"),
        ("  a.key = x  \n", Contents("b"), "  a.key = b\n"),
        ("a.key =\\\n  x\\\n  y\nb=1\n", Contents("b"), "a.key =b\nb=1\n"),
        ("a\\.key=x\n", Contents("b"), "a\\.key=b\n"),
        ("a.key=x\na.key : x\n", Contents("b"), "a.key=b\na.key : b\n"),
        ("a.old=y\n\na.key=x\n", Contents("b"), "\na.key=b\n"),
        ("a.old=y\\\n  z\na.key=x\n", Contents("b", "x"), "a.old=x\na.key=b\n"),
        ("a.key=x\n#---\na=2\n", Contents("b", "x"), "a.key=b\na.old=x\n#---\na=2\n"),
        ("b=1", Contents("b"), "b=1\na.key=b\n"),
        ("b=1\r\n", Contents("b"), "b=1\r\na.key=b\r\n"),
        ("# c \\", Contents("b"), "# c \\\na.key=b\n"),
        ("b=\\u00e9 \\\\\n", Contents("b"), "b=\\u00e9 \\\\\na.key=b\n"),
        ("a.keys=1\n", Contents("b"), "a.keys=1\na.key=b\n"),
        ("\ufeff# c\na.key=x\n", Contents("b"), "\ufeff# c\na.key=b\n"),
        ("", Contents("b", "x"), "a.key=b\na.old=x\n"),
        (None, Contents("b+/=="), "a.key=b+/==\n"),
    ],
)  # fmt: skip
def test_edits_our_properties_and_nothing_else(before: str | None, wanted: Contents, after: str) -> None:
    assert FORMAT.edit(before, wanted) == after
    assert FORMAT.read(after) == wanted
    assert FORMAT.edit(after, wanted) == after


def test_without_a_previous_key_that_property_is_somebody_elses() -> None:
    assert ALONE.edit("a.key=a\na.old=1\n", Contents("b", "a")) == "a.key=b\na.old=1\n"


def test_a_value_that_is_there_already_is_left_as_it_is_spelt() -> None:
    assert ALONE.edit("a.key=\\u0061\\\n  b\n", Contents("ab")) == "a.key=\\u0061\\\n  b\n"


def test_a_name_is_escaped_where_it_must_be() -> None:
    assert PropertiesFormat("a store", ("a b:c",), None).edit("", Contents("x")) == "a\\ b\\:c=x\n"


def test_names_beside_ours_are_told_and_stray_lines_are_not() -> None:
    text = "a.key=x\nb = 1\nc.d=\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nxAoIBAQDf==\n"
    assert FORMAT.read(text).keys == ("a.key", "b", "c.d")
    assert FORMAT.read(text).present
    assert FORMAT.read("a.key\n").present
    assert not FORMAT.read("#a.key=x\n").present


@pytest.mark.parametrize("value", ["ü", "a b", "back\\slash", "=a", ":a", "a\nb", "\t"])
def test_values_that_would_be_escaped_are_refused(value: str) -> None:
    with pytest.raises(StoreRefused, match="escaped") as caught:
        FORMAT.edit("a.key=x\n", Contents(value))
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a.key=theirs\n\na.key=\n", "lines 1 and 3 define 'a.key' differently"),
        ("a.key=x\n# c\na.old=theirs\\\n  x\na.old=y\n", "lines 3 and 5 define 'a.old' differently"),
        ("a.k\\\n  ey=theirs\n", "line 1 begins a key that goes on on the next line"),
        ("b=1\n\nc=\\u00zz\n", "line 3 has a \\u without four hex digits"),
        ("b=1\n#---\nc=theirs\n", "line 2 begins another document"),
        ("b=1\n!---\nc=theirs", "line 2 begins another document"),
        ("b=theirs\\", "the last line ends in a backslash"),
        ("b=theirs\\\n", "the last line ends in a backslash"),
        ("\ufeffa.key=theirs\n", "byte order mark"),
        ("\ufeffa.old=theirs\n", "byte order mark"),
        ("b=\0\n", "binary data"),
    ],
)
def test_what_cant_be_edited_safely_is_refused(text: str, what: str) -> None:
    with pytest.raises(StoreRefused) as caught:
        FORMAT.edit(text, Contents("new"))
    assert what in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert "theirs" not in str(caught.value)
