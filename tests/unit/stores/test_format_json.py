from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import Contents
from featurebase_provider.stores.shared.formats.json import JsonFormat

FORMAT = JsonFormat("a store", ("current",), ("previous",))
ALONE = JsonFormat("a store", ("current",), None)


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ('{"current": "a"}', Contents("b"), '{"current": "b"}'),
        ('{"a": 1.50, "current": "x", "z": 1e3}', Contents("b"), '{"a": 1.50, "current": "b", "z": 1e3}'),
        ('{\n\t"current":"a"\n}\n', Contents("b", "a"), '{\n\t"current":"b",\n\t"previous":"a"\n}\n'),
        ('{"current": "a", "previous": "b"}', Contents("c"), '{"current": "c"}'),
        ('{"previous": "b", "current": "a"}', Contents("c"), '{"current": "c"}'),
        ('{"current": "a",\n "previous": "b",\n "k": 1}', Contents("a"), '{"current": "a",\n "k": 1}'),
        ("{}", Contents("a"), '{"current": "a"}'),
        ("{\n}\n", Contents("a"), '{"current": "a"\n}\n'),
        ('\ufeff{"k": "\\u00fc"}', Contents("a"), '\ufeff{"k": "\\u00fc","current": "a"}'),
        ('{"k": 1,\r\n "l": 2}', Contents("a"), '{"k": 1,\r\n "l": 2,\r\n "current": "a"}'),
        ('{"current": null}', Contents('q"\\'), '{"current": "q\\"\\\\"}'),
        ("", Contents("a", "b"), '{"current": "a","previous": "b"}\n'),
        (" \n", Contents("a"), '{"current": "a"}\n'),
        (None, Contents("a"), '{"current": "a"}\n'),
        ('{"current": "\\u0061"}', Contents("a"), '{"current": "\\u0061"}'),
        ('{"k": {"current": "nested"}, "current": "a"}', Contents("b"), '{"k": {"current": "nested"}, "current": "b"}'),
    ],
)
def test_edits_our_keys_and_nothing_else(before: str | None, wanted: Contents, after: str) -> None:
    assert FORMAT.edit(before, wanted) == after
    assert FORMAT.read(after) == wanted


def test_without_a_previous_key_that_member_is_somebody_elses() -> None:
    text = '{"current": "a", "previous": 7}'
    assert ALONE.read(text) == Contents("a")
    assert ALONE.edit(text, Contents("b", "a")) == '{"current": "b", "previous": 7}'


@pytest.mark.parametrize(
    "text",
    [
        "[]", '"current"', "null", "7", "xyz", "{", '{"current"', '{"current":}', '{"current": "a",}', '{"a" "b"}',
        '{"current": "a"} {}', '{"current": "a"', "{7: 1}", '{"current": "a\nb"}', "{'current': 'a'}",
        '{"a": 1 "b": 2}',
        '{"current": 7}', '{"current": ["a"]}', '{"current": {}}', '{"current": false}', '{"previous": 1}',
        '{"current": "a", "current": "b"}', '{"current": "\\ud800"}', "[" * 100_000, '{"a":' + "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_object_with_texts_under_our_keys_is_refused(text: str) -> None:
    for call in (lambda: FORMAT.read(text), lambda: FORMAT.edit(text, Contents("new"))):
        with pytest.raises(StoreRefused) as caught:
            call()
        assert text not in str(caught.value)
        assert caught.value.__cause__ is None


NESTED = JsonFormat("a store", ("feedback", "webhook", "secret"), ("feedback", "webhook", "previous"))


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        (
            '{"secret": 1, "feedback": {"n": 1.50, "webhook": {"secret": "a"}}, "z": 1e3}',
            Contents("b"),
            '{"secret": 1, "feedback": {"n": 1.50, "webhook": {"secret": "b"}}, "z": 1e3}',
        ),
        (
            '{\n  "feedback": {\n    "webhook": {\n      "secret": "a"\n    }\n  }\n}\n',
            Contents("b", "a"),
            '{\n  "feedback": {\n    "webhook": {\n      "secret": "b",\n      "previous": "a"\n    }\n  }\n}\n',
        ),
        (
            '{"feedback": {"webhook": {"previous": "x", "secret": "a"}}}',
            Contents("a"),
            '{"feedback": {"webhook": {"secret": "a"}}}',
        ),
        ('{"feedback": {}}', Contents("a"), '{"feedback": {"webhook": {"secret": "a"}}}'),
        ('{"a": 1}', Contents("a"), '{"a": 1,"feedback": {"webhook": {"secret": "a"}}}'),
        (
            '{"feedback.webhook.secret": "x", "feedback": {"webhook": {"secret": null}}}',
            Contents("a"),
            '{"feedback.webhook.secret": "x", "feedback": {"webhook": {"secret": "a"}}}',
        ),
    ],
)  # fmt: skip
def test_edits_within_objects_and_nothing_else(before: str, wanted: Contents, after: str) -> None:
    assert NESTED.edit(before, wanted) == after
    assert NESTED.read(after) == wanted
    assert NESTED.edit(after, wanted) == after


@pytest.mark.parametrize(
    ("text", "present", "keys"),
    [
        ('{"feedback": {"webhook": {"secret": ""}}}', True, ("feedback.webhook.secret",)),
        ('{"feedback": {"webhook": {"Secret": "x"}}, "a": 1}', False, ("feedback.webhook.Secret",)),
        ('{"feedback": {"hook": 1, "a.b": 2}}', False, ("feedback.hook", "[feedback, a.b]")),
        ('{"Feedback": 1, "other": 2}', False, ("Feedback", "other")),
        ("", False, ()),
    ],
)
def test_tells_which_keys_lie_where_ours_would(text: str, present: bool, keys: tuple[str, ...]) -> None:
    found = NESTED.read(text)
    assert (found.present, found.keys) == (present, keys)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"feedback": "whsec_x"}', "'feedback' holds a text, not an object, so there is no 'feedback.webhook.secret'"),
        ('{"feedback": ["whsec_x"]}', "'feedback' holds a list, not an object"),
        ('{"feedback": {"webhook": null}}', "'feedback.webhook' holds null, not an object"),
        ('{"feedback": {"webhook": 7}}', "'feedback.webhook' holds a number, not an object"),
        ('{"feedback": {"webhook": {"secret": {"whsec_x": 1}}}}', "webhook.secret' holds an object, not a text"),
        ('{"feedback": {}, "feedback": {}}', "the key 'feedback' twice"),
        ('{"feedback": {"webhook": {}, "webhook": {}}}', "the key 'feedback.webhook' twice"),
    ],
)  # fmt: skip
def test_a_path_that_meets_something_else_is_refused(text: str, said: str) -> None:
    for call in (lambda: NESTED.read(text), lambda: NESTED.edit(text, Contents("new"))):
        with pytest.raises(StoreRefused) as caught:
            call()
        assert said in str(caught.value)
        assert "whsec_x" not in str(caught.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
secrets = st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"]))


@given(
    st.dictionaries(st.text(max_size=8), values, max_size=5),
    st.sampled_from([None, 0, 2, "\t"]),
    secrets,
    st.none() | secrets,
)
def test_any_object_keeps_its_other_members(
    document: dict[str, object], indent: int | str | None, current: str, previous: str | None
) -> None:
    """Whatever a valid object holds, its other members and their order survive, as any JSON parser sees them."""
    document = {key: value for key, value in document.items() if key not in {"current", "previous"}}
    text = json.dumps(document, indent=indent, ensure_ascii=indent == 2)
    for wanted in (Contents(current, previous), Contents("other", current), Contents(current)):
        text = FORMAT.edit(text, wanted)
        assert FORMAT.read(text) == wanted
        others = [(key, value) for key, value in json.loads(text).items() if key not in {"current", "previous"}]
        assert others == list(document.items())
        assert FORMAT.edit(text, wanted) == text


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text raises anything but our own error."""
    try:
        edited = FORMAT.edit(text, Contents("new"))
    except StoreRefused:
        with pytest.raises(StoreRefused):
            FORMAT.read(text)
    else:
        assert FORMAT.read(edited) == Contents("new")


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ('{"a.b.c": "x"}', "a.b.c"),
        ('{"a.b.c": "x", "a": {}}', "a.b.c"),
        ('{"a.b": {"c": "x"}}', "a.b"),
        ('{"a": {"b.c": "x"}}', "b.c"),
    ],
)
def test_nothing_is_added_beside_a_name_with_dots(text: str, spelled: str) -> None:
    """With ``create: true`` too: readers look at what is there already."""
    nested = JsonFormat("a store", ("a", "b", "c"), None)
    assert not nested.read(text).present
    with pytest.raises(StoreRefused, match="as one name with dots") as caught:
        nested.edit(text, Contents("b"))
    assert f"spells {spelled!r}" in str(caught.value)
