"""YAML texts of every kind: what PyYAML writes, with comments and more put in, and pieces in any order."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import strategies as st

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.text(max_size=6)
    | st.sampled_from(
        ["yes", "2024-01-01", "a: b", "- x", "# c", "{x", "&a", "*a", "!t", "<<", "=", "x\ny\n", " x", "| "]
    )
)
yaml_names = st.sampled_from(["KEY", "OLD", "a", "b", "KEY.x", "a.KEY", "<<", "y", "1"]) | st.text(max_size=4)
shared: list[Any] = [1]
yaml_values = st.recursive(
    scalars | st.just(shared),  # more than once in a document: PyYAML writes an anchor and aliases
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(yaml_names, inner, max_size=3),
    max_leaves=6,
)
yaml_dumps = st.builds(
    lambda tree, options: yaml.dump(tree, sort_keys=False, **options),
    st.dictionaries(yaml_names, yaml_values, max_size=4),
    st.fixed_dictionaries(
        {
            "default_flow_style": st.sampled_from([None, True, False]),
            "default_style": st.sampled_from([None, None, "'", '"', "|", ">"]),
            "indent": st.sampled_from([None, 2, 4, 7]),
            "width": st.sampled_from([None, 10]),
            "allow_unicode": st.booleans(),
            "explicit_start": st.booleans(),
            "explicit_end": st.booleans(),
        }
    ),
)
yaml_noise = st.sampled_from([*[""] * 24, " # c", "  ", "\n# c", "\n   # KEY: x", "\n", "\n---", "\t"])
yaml_parts = st.sampled_from(
    [
        "KEY",
        "OLD",
        "a",
        ": ",
        ":",
        "\n",
        "\n  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        '"',
        "'",
        "#",
        " # c",
        "|",
        ">-",
        "&x ",
    ]
    + [
        "*x",
        "!t ",
        "<<: *x\n",
        "? ",
        "---\n",
        "...\n",
        "\r\n",
        "\r",
        "\t",
        "\ufeff",
        "\u2028",
        "\x00",
        "KEY: a\n",
        "~",
        "%",
    ]
)


@st.composite
def yaml_files(draw: st.DrawFn) -> str:
    """A document with comments, blanks and other things behind some lines."""
    lines = draw(yaml_dumps).split("\n")
    text = "\n".join(line + draw(yaml_noise) for line in lines) if len(lines) < 30 else "\n".join(lines)
    return draw(st.sampled_from(["", "", "\ufeff", "# head\n"])) + text.replace(
        "\n", draw(st.sampled_from(["\n", "\n", "\r\n"]))
    )


yaml_texts = yaml_files() | st.lists(yaml_parts, max_size=14).map("".join)


def tree_of(text: str) -> Any:
    """What a reader sees; names as PyYAML composes them where it can't construct the values."""
    root = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.CSafeLoader)
    return plain(root, {}) if root is not None else {}


def plain(node: yaml.Node, done: dict[int, Any]) -> Any:
    if id(node) not in done:
        done[id(node)] = "itself"
        if isinstance(node, yaml.MappingNode):
            done[id(node)] = {repr(plain(key, done)): plain(value, done) for key, value in node.value}
        elif isinstance(node, yaml.SequenceNode):
            done[id(node)] = [plain(item, done) for item in node.value]
        else:
            done[id(node)] = (node.tag, node.value)
    return done[id(node)]


def without(tree: Any, paths: list[tuple[str, ...]]) -> Any:
    """All but our values, and but the mappings that hold nothing else."""
    for path in paths:
        names = [repr(("tag:yaml.org,2002:str", name)) for name in path]
        outer = [tree]
        for name in names[:-1]:
            outer.append(outer[-1].get(name) if isinstance(outer[-1], dict) else None)
        for name, mapping in zip(reversed(names), reversed(outer), strict=True):
            if isinstance(mapping, dict) and (name == names[-1] or mapping.get(name) == {}):
                mapping.pop(name, None)
    return tree if isinstance(tree, dict) else {}
