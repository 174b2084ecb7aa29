"""YAML and .properties texts are edited with all else as it was, or refused."""

from __future__ import annotations

import javaproperties
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.stores.shared.formats import Contents
from featurebase_provider.stores.shared.formats.properties import PropertiesFormat
from featurebase_provider.stores.shared.formats.yaml import YamlFormat
from tests.properties.any_yaml import tree_of, without, yaml_texts
from tests.properties.edits import CURRENT, PREVIOUS, THEIRS, edited, is_in_order
from tests.properties.profile import tries


@tries(800)
@given(
    yaml_texts,
    st.sampled_from([("KEY",), ("a", "KEY"), ("a", "b", "KEY"), ("KEY.x",)]),
    st.sampled_from([None, ("OLD",), ("a", "OLD"), ("b", "OLD")]),
    st.booleans(),
)
def test_a_yaml_text_keeps_everybody_elses_values(
    text: str, key: tuple[str, ...], old: tuple[str, ...] | None, keeps: bool
) -> None:
    wanted = Contents(CURRENT.reveal(), PREVIOUS.reveal() if old and keeps else None)
    new = edited(YamlFormat("a store", key, old), text, wanted)
    if new is None:
        return
    ours = [path for path in (key, old) if path]
    before, after = tree_of(text), tree_of(new)
    assert repr(without(after, ours)) == repr(without(before, ours))
    lines = [line for line in text.splitlines(keepends=True) if not any(path[-1] in line for path in ours)]
    assert is_in_order([line for line in lines if "{" not in line], new)


properties_parts = st.sampled_from(
    [
        "KEY",
        "OLD",
        "a.KEY",
        "=",
        ":",
        " ",
        " = ",
        "\t",
        "\\",
        "\\\n",
        "\\\r\n",
        "\n",
        "\r\n",
        "\r",
        "#",
        "!",
        "\n#---\n",
    ]
    + [
        "\\u00e9",
        "\\u0",
        "\\ ",
        "\\=",
        "\f",
        "\ufeff",
        "\x00",
        "ü",
        "x",
        "KEY=a\n",
        "OLD: b\n",
        "a.KEY a\n",
        "# c \\\n",
    ]
)


@tries(700)
@given(
    st.lists(properties_parts, max_size=14).map("".join) | st.text(max_size=40),
    st.sampled_from([("KEY",), ("a", "KEY")]),
    st.booleans(),
    st.booleans(),
)
def test_a_properties_text_keeps_everybody_elses(text: str, key: tuple[str, ...], has_old: bool, keeps: bool) -> None:
    text = f"{text}\nTHEIRS={THEIRS}\n"
    wanted = Contents(CURRENT.reveal(), PREVIOUS.reveal() if has_old and keeps else None)
    new = edited(PropertiesFormat("a store", key, ("OLD",) if has_old else None), text, wanted)
    if new is None:
        return
    ours = {".".join(key), *(["OLD"] if has_old else [])}
    before, after = javaproperties.loads(text), javaproperties.loads(new)
    assert after[".".join(key)] == CURRENT.reveal()
    assert {name: value for name, value in after.items() if name not in ours} == {
        name: value for name, value in before.items() if name not in ours
    }
