"""The signing secret as a text in a YAML mapping, edited in place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import yaml

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import BOM, Contents, shown
from featurebase_provider.stores.shared.formats.yaml_tree import (
    UnfitYaml,
    alike_but,
    compose,
    end_of,
    entries,
    indent_of,
    is_block_text,
    is_repeated,
    merged_names,
    step_of,
)

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.formats import KeyPath

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_A_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_QUOTABLE = re.compile(r"[ -~]*")
_KINDS = {"bool": "boolean", "int": "number", "float": "number", "timestamp": "date", "map": "mapping", "seq": "list"}


@dataclass(frozen=True, slots=True)
class _Found:
    """How far a path leads: to ``key`` and ``value`` in ``mapping``, or no farther than ``mapping``.

    :param mapping: None in an empty document.
    :param outer: the names of the mappings that lead to ``mapping``.
    """

    mapping: yaml.MappingNode | None
    outer: KeyPath
    key: yaml.ScalarNode | None = None
    value: yaml.Node | None = None


class YamlFormat:
    """The secret is a text in a YAML mapping, or in a mapping within it.

    It is written in quotes, so that readers of YAML 1.1 and 1.2 alike take it for a text.

    :param store: the store's name, for messages.
    :param key: where the current secret lies.
    :param previous_key: where the previous one lies; None keeps none.
    """

    def __init__(self, store: str, key: KeyPath, previous_key: KeyPath | None) -> None:
        self._store, self._key, self._previous_key = store, key, previous_key

    def read(self, text: str) -> Contents:
        """Read our keys; null and an empty text count as absent."""
        text = text.removeprefix(BOM)
        found = self._find(text, self._key)
        previous = self._find(text, self._previous_key) if self._previous_key else None
        return Contents(
            self._text_at(found),
            self._text_at(previous) if previous else None,
            present=found.key is not None,
            keys=tuple(shown((*found.outer, name)) for name, *_ in entries(found.mapping)) if found.mapping else (),
        )

    def edit(self, text: str | None, wanted: Contents) -> str:
        """Replace, add or remove what is ours; mappings that are to hold it are added too."""
        head, old = (BOM, text[1:]) if text and text.startswith(BOM) else ("", text or "")
        new = self._put(old, self._key, wanted.current or "")
        if self._previous_key:
            if wanted.previous:
                new = self._put(new, self._previous_key, wanted.previous)
            else:
                new = self._without(new, self._previous_key)
        self._check_neighbours(old, new)
        return head + new

    def _check_neighbours(self, old: str, new: str) -> None:
        """Refuse an edit by which a reader would see anything else change."""
        paths = [path for path in (self._key, self._previous_key) if path]
        try:
            alike = old == new or alike_but(compose(old), compose(new), paths)
        except UnfitYaml:
            alike = False
        if not alike:
            self._refuse(f"{shown(self._key)!r} can't be edited without changing what stands beside it")

    def _refuse(self, what: str, advice: str | None = None) -> NoReturn:
        what = f"{what}; nothing was changed"
        raise StoreRefused(self._store, what, advice) if advice else StoreRefused(self._store, what)

    def _find(self, text: str, path: KeyPath) -> _Found:
        try:
            mapping = compose(text)
        except UnfitYaml as error:
            raise StoreRefused(self._store, f"{error}; nothing was changed") from None
        if mapping is None:
            return _Found(None, ())
        for depth in range(len(path)):
            self._check_properties(text, mapping, shown(path[:depth]))
            key, value = self._entry(mapping, path, depth) or (None, None)
            if key is None or value is None:
                return _Found(mapping, path[:depth])
            where = shown(path[: depth + 1])
            if is_repeated(key, value):
                self._refuse(
                    f"line {key.start_mark.line + 1}: {where!r} is an alias (*), and its value stands elsewhere, too",
                    "Write the value itself there",
                )
            self._check_properties(text, key, where)
            self._check_properties(text, value, where)
            if depth == len(path) - 1:
                return _Found(mapping, path[:depth], key, value)
            if not isinstance(value, yaml.MappingNode):
                self._refuse(
                    f"line {key.start_mark.line + 1}: {where!r} holds {_kind(value)}, not a mapping, so there is no "
                    f"{shown(path)!r} in it",
                    "Correct the key",
                )
            mapping = value
        raise ValueError("a path has a name")

    def _entry(self, mapping: yaml.MappingNode, path: KeyPath, depth: int) -> tuple[yaml.ScalarNode, yaml.Node] | None:
        name, where = path[depth], shown(path[: depth + 1])
        joined = {".".join(path[depth:end]): path[depth:end] for end in range(depth + 2, len(path) + 1)}
        found = []
        for other, key, value in entries(mapping):
            if other in joined:
                self._refuse(
                    f"line {key.start_mark.line + 1} spells {other!r} as one name with dots",
                    "Write the key as a list of names",
                )
            if other == name:
                found.append((key, value))
        if any(not isinstance(key, yaml.ScalarNode) for key, _ in mapping.value):  # {{ a template }}
            self._refuse(f"line {mapping.start_mark.line + 1} begins a mapping with a key that is no text")
        if len(found) > 1:
            first, second = (key.start_mark.line + 1 for key, _ in found[:2])
            self._refuse(f"lines {first} and {second} both define {where!r}", "Remove one")
        if not found and name in merged_names(mapping):
            self._refuse(f"{where!r} is taken over from another mapping by <<", "Write it into the mapping itself")
        return found[0] if found else None

    def _check_properties(self, text: str, node: yaml.Node, where: str) -> None:
        if text[node.start_mark.index : node.start_mark.index + 1] in {"&", "!", "*"}:
            self._refuse(
                f"line {node.start_mark.line + 1}: {where or 'the document'!r} has an anchor (&), an alias (*) or a "
                "tag (!), so that more than this place may depend on it",
                "Write it without",
            )

    def _text_at(self, found: _Found) -> str | None:
        if found.key is None or found.value is None:
            return None
        where, line = shown((*found.outer, found.key.value)), found.key.start_mark.line + 1
        if is_block_text(found.value):
            self._refuse(f"line {line}: {where!r} holds a block of lines (| or >)", "Write it in quotes on one line")
        kind = found.value.tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind != "str":
            self._refuse(f"line {line}: {where!r} holds {_kind(found.value)}, not a text", "Write it in quotes")
        return str(found.value.value) or None

    def _put(self, text: str, path: KeyPath, value: str) -> str:
        found = self._find(text, path)
        if found.key is None or found.value is None:
            return self._with(text, found, path[len(found.outer) :], self._quoted(value))
        return text if self._text_at(found) == value else self._replaced(text, found.key, found.value, value)

    def _replaced(self, text: str, key: yaml.Node, node: yaml.Node, value: str) -> str:
        start, end = node.start_mark.index, node.end_mark.index
        if start < end:
            return text[:start] + self._quoted(value, text[start]) + text[end:]
        colon = text.find(":", key.end_mark.index, start)  # an empty value
        if colon < 0:
            self._refuse(f"line {key.start_mark.line + 1} has a key without a value", "Write a colon behind it")
        return f"{text[: colon + 1]} {self._quoted(value)}{text[colon + 1 :]}"

    def _with(self, text: str, found: _Found, names: KeyPath, value: str) -> str:
        """The text with an entry more: behind our current key if that is beside it, else at the end of its mapping."""
        mapping, names = found.mapping, tuple(map(_name, names))
        if mapping is None:
            return _with_lines(text, len(text), "", names, value)
        beside = [(key, node) for name, key, node in entries(mapping) if (*found.outer, name) == self._key]
        if mapping.flow_style:
            return _with_inline(text, beside[0][1].end_mark.index if beside else None, mapping, names, value)
        first = mapping.value[0][0]
        if (indent := indent_of(text, first)) is None:
            self._refuse(f"line {first.start_mark.line + 1} begins a mapping behind something else on the line")
        return _with_lines(text, end_of(text, *(beside or mapping.value)[-1]), indent, names, value)

    def _without(self, text: str, path: KeyPath) -> str:
        """The text without an entry; one that has no lines of its own, or is alone in its mapping, is emptied."""
        found = self._find(text, path)
        if found.mapping is None or found.key is None or found.value is None or self._text_at(found) is None:
            return text
        if found.mapping.flow_style or len(found.mapping.value) == 1 or indent_of(text, found.key) is None:
            return self._replaced(text, found.key, found.value, "")
        start = text.rfind("\n", 0, found.key.start_mark.index) + 1
        return text[:start] + text[end_of(text, found.key, found.value) :]

    def _quoted(self, value: str, quote: str = '"') -> str:
        if not _QUOTABLE.fullmatch(value):
            self._refuse("the value has characters beyond printable ASCII, which YAML readers may read differently")
        return "'" + value.replace("'", "''") + "'" if quote == "'" else json.dumps(value)


def _with_inline(text: str, at: int | None, mapping: yaml.MappingNode, names: KeyPath, value: str) -> str:
    """The text with an entry more in a mapping in braces: at its begin, or behind the value that ends at ``at``."""
    entry = ": {".join(names) + f": {value}" + "}" * (len(names) - 1)
    if at is not None:
        return f"{text[:at]}, {entry}{text[at:]}"
    inside = mapping.start_mark.index + 1
    comma = "" if not mapping.value else "," if text[inside].isspace() else ", "
    return f"{text[:inside]}{entry}{comma}{text[inside:]}"


def _with_lines(text: str, at: int, indent: str, names: KeyPath, value: str) -> str:
    """The text with an entry more on lines of its own, which begin at ``at``."""
    step, line_break = step_of(compose(text)), "\r\n" if re.match(r"[^\n]*\r\n", text) else "\n"
    lines = [f"{indent}{step * depth}{name}:" for depth, name in enumerate(names)]
    lines[-1] += f" {value}"
    before = line_break if at and text[at - 1] != "\n" else ""
    return f"{text[:at]}{before}{''.join(line + line_break for line in lines)}{text[at:]}"


def _name(name: str) -> str:
    """A name as a key that every reader takes for a text."""
    plain = _PLAIN_NAME.fullmatch(name) and name.lower() not in _NOT_A_TEXT
    return name if plain else json.dumps(name, ensure_ascii=False)


def _kind(node: yaml.Node) -> str:
    kind = node.tag.rpartition(":")[2]
    return "null" if kind == "null" else f"a {_KINDS.get(kind, 'text' if kind == 'str' else 'special value')}"
