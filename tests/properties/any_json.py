"""JSON as others may send it: anything, and right documents with something wrong in them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ODD_NUMBERS = st.sampled_from([0, -1, 10**400, -(2**63), 2**64, 1e308, 5e-324, 0.5])
ODD_TEXTS = st.sampled_from(
    [
        *("", " ", "\x00", "\u202e", "\u2028", "\x1b[2J", "{{ 1 }}", "\ud800", "1e999", "NaN", "a" * 5000),
        *("2026-01-15", "2026-01-15T10:30:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
        *("sha256:0123456789abcdef", "emergency", "rotate"),
    ]
)
scalars = st.none() | st.booleans() | st.integers() | ODD_NUMBERS | st.text(max_size=12) | ODD_TEXTS
anything: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)

Path = tuple[Any, ...]


def places_in(value: object, path: Path = ()) -> Iterator[Path]:
    """Every place in a document, the whole included."""
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places_in(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from places_in(child, (*path, index))


@st.composite
def spoilt(draw: st.DrawFn, right: Mapping[str, Any], values: st.SearchStrategy[Any] = anything) -> Any:
    """A right document with up to three places replaced, removed, or added to."""
    document: Any = copy.deepcopy(dict(right))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places_in(document))))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                return draw(values)
            document[draw(st.text(max_size=8))] = draw(values)
            continue
        parent = document
        for step in path[:-1]:
            parent = parent[step]
        if draw(st.booleans()):
            parent[path[-1]] = draw(values)
        else:
            del parent[path[-1]]
        if not isinstance(document, dict):
            return document
    return document
