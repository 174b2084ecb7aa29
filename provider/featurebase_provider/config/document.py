"""Reads YAML into a tree that knows the line of every field.

PyYAML composes the nodes; its object constructors are never used, so no tag can build a Python object.
Plain scalars follow YAML 1.2: only ``true`` and ``false`` are booleans, and a date stays text.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, cast

import yaml

from featurebase_provider.featurebase.text import may_have_token, without_tokens
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.config import errors
    from featurebase_provider.config.errors import Fault, Key, Place
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")

MAX_NODES = 50_000
MAX_DEPTH = 40

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = "tag:yaml.org,2002:"
_STR_TAG = f"{_TAGS}str"
_COLLECTION_TAGS = frozenset({f"{_TAGS}map", f"{_TAGS}seq"})
_PLAIN_TAGS = frozenset(_TAGS + name for name in ("str", "null", "bool", "int", "float", "timestamp", "merge", "value"))
"""What PyYAML takes plain scalars for by itself."""
_RESOLVER = yaml.resolver.Resolver()
_NUMBER = frozenset("+-.0123456789eE")
"""The characters of a number."""
_FLOAT = r"[-+]?(?:\.[0-9]{1,15}|[0-9]{1,15}(?:\.[0-9]{0,15})?)(?:[eE][-+]?[0-9]{1,3})?"

Plain = Any
"""What a tree says without its lines: None, bool, int, float, str, list or dict."""

_BROKEN = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]"


class Node:  # no dataclass: generating one costs more than reading a file
    """A value of the file and its line.

    :param value: a scalar, a list of nodes, or a mapping of text keys to nodes.
    :param line: line of the value, counted from 1.
    :param key_lines: for a mapping, the line of each key.
    """

    __slots__ = ("depth", "key_lines", "line", "size", "value")

    def __init__(self, value: Any, line: int, key_lines: dict[str, int] | None = None) -> None:
        self.value, self.line = value, line
        self.key_lines: dict[str, int] = {} if key_lines is None else key_lines
        self.size = self.depth = 1

    def plain(self) -> Plain:
        """The value without its lines."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def children(self) -> Iterator[tuple[Key, Node]]:
        """Each child with its key or index; none for a scalar."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)

    def child(self, key: Key) -> Node | None:
        """The child of that key or index, if there is one."""
        if isinstance(self.value, dict) and isinstance(key, str):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]  # type: ignore[no-any-return]
        return None


class Unreadable(Exception):
    """The text is not YAML, or its structure can't be used at all."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def read_document(text: str) -> tuple[Node | None, list[Fault]]:
    """Read one YAML document.

    :returns: its tree (None if the document is empty) and the errors that still leave a tree: duplicate keys, keys
        that are not text, and tags.
    :raises Unreadable: the text is not YAML, or its structure can't be used.
    """
    reader = _Reader()
    try:
        _check_depth(text)  # before anything recurses
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as exc:
        raise Unreadable(_syntax_fault(text, exc)) from None
    return (reader.read(root, ()) if root is not None else None), reader.faults


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise Unreadable(errors.Fault(line, "", f"values are nested more than {MAX_DEPTH} deep"))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _syntax_fault(text: str, exc: yaml.YAMLError) -> Fault:
    if not isinstance(exc, yaml.MarkedYAMLError):  # the reader met a character that YAML forbids
        return errors.Fault(0, "", "this is not valid YAML: it contains a character that YAML does not allow")
    mark = exc.problem_mark or exc.context_mark
    line = mark.line + 1 if mark else 0
    lines = text.splitlines()
    if 0 < line <= len(lines) and re.match(r" *\t", lines[line - 1]):
        return errors.Fault(line, "", "a tab indents this line; YAML allows spaces only")
    # The parser's own words quote a character at most; the snippet that it adds quotes the line: left out.
    words = ", ".join(without_tokens(part) for part in (exc.context, exc.problem) if part)
    return errors.Fault(line, "", f"this is not valid YAML: {words or 'it cannot be parsed'}")


class _Reader:
    """Turns PyYAML's nodes into ours, and counts what aliases repeat."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._done: dict[int, Node] = {}
        self._begun: set[int] = set()
        self._merged = 0

    def read(self, found: yaml.Node, path: tuple[Key, ...]) -> Node:
        """The node and all below it; what an alias repeats is the very node that it names."""
        line = found.start_mark.line + 1
        if id(found) in self._done:
            return self._done[id(found)]
        if id(found) in self._begun:
            raise Unreadable(errors.Fault(line, errors.field_name(path), "an alias (*) is inside its own anchor (&)"))
        self._begun.add(id(found))
        if _is_tagged(found):
            self.faults.append(errors.Fault(line, errors.field_name(path), "tags (!) are not allowed in this file"))
        if isinstance(found, yaml.SequenceNode):
            node = Node([], line)
            for index, item in enumerate(found.value):
                self._adopt(node, child := self.read(item, (*path, index)))
                node.value.append(child)
        elif isinstance(found, yaml.MappingNode):
            node = self._mapping(found, path)
        else:
            node = Node(_scalar(cast("yaml.ScalarNode", found)), line)
        self._done[id(found)] = node
        return node

    def _mapping(self, found: yaml.MappingNode, path: tuple[Key, ...]) -> Node:
        node, merges = Node({}, found.start_mark.line + 1), list[Node]()
        for key, value in found.value:
            name, line = self.read(key, path).value, key.start_mark.line + 1
            child = self.read(value, (*path, name) if isinstance(name, str) else path)
            if not isinstance(name, str):
                self.faults.append(errors.Fault(line, errors.field_name(path), "a key must be text; put it in quotes"))
            elif name == "<<":
                merges += self._merge(child, path)
            elif name in node.value:
                first = f"first on line {node.key_lines[name]}"
                self.faults.append(
                    errors.Fault(line, errors.field_name((*path, name)), f"is given twice in this mapping; {first}")
                )
            else:
                self._adopt(node, child)
                node.value[name], node.key_lines[name] = child, line
        for merged in merges:
            self._merged += len(merged.value)
            if self._merged > MAX_NODES:
                raise Unreadable(errors.Fault(node.line, "", f"<< merges more than {MAX_NODES} values"))
            for name, child in merged.value.items():
                if name not in node.value:
                    self._adopt(node, child)
                    node.value[name], node.key_lines[name] = child, merged.key_lines[name]
        return node

    def _merge(self, node: Node, path: tuple[Key, ...]) -> list[Node]:
        sources: list[Node] = node.value if isinstance(node.value, list) else [node]
        if all(isinstance(source.value, dict) for source in sources):
            return sources
        self.faults.append(
            errors.Fault(node.line, errors.field_name(path), "<< can only merge a mapping or a list of mappings")
        )
        return []

    def _adopt(self, parent: Node, child: Node) -> None:
        parent.size += child.size
        parent.depth = max(parent.depth, child.depth + 1)
        # An alias counts as everything it repeats, so a few lines can't stand for millions of values.
        if parent.size > MAX_NODES:
            raise Unreadable(
                errors.Fault(parent.line, "", f"the file has more than {MAX_NODES} values, counting aliases")
            )
        if parent.depth > MAX_DEPTH:
            raise Unreadable(errors.Fault(parent.line, "", f"values are nested more than {MAX_DEPTH} deep"))


def _is_tagged(found: yaml.Node) -> bool:
    """Whether a tag says what the value is to become; ``!!str``, which only keeps a text a text, is none."""
    if isinstance(found, yaml.ScalarNode):
        return found.tag != _STR_TAG if found.style else found.tag not in _PLAIN_TAGS
    return found.tag not in _COLLECTION_TAGS


def _is_said_to_be_text(found: yaml.ScalarNode) -> bool:
    """Whether ``!!str`` stands before a plain scalar that is something else by itself."""
    if found.tag != _STR_TAG:
        return False
    implied = _RESOLVER.resolve(yaml.ScalarNode, found.value, (True, False))  # type: ignore[no-untyped-call]  # untyped
    return bool(implied != _STR_TAG)


def _scalar(found: yaml.ScalarNode) -> Plain:
    text: str = found.value
    if found.style or _is_said_to_be_text(found):  # the first: quoted, or a block
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text.lower() in ("true", "false") and text in (text.lower(), text.upper(), text.capitalize()):
        return text.lower() == "true"
    if not _NUMBER.issuperset(text):
        return text
    # 15 digits at most: a webhook id made of digits (or like 507e12...) must stay the text that it is.
    digits = text[1:] if text[0] in "+-" else text
    if digits.isdigit():
        return int(text) if len(digits) <= 15 else text
    if re.fullmatch(_FLOAT, text) and math.isfinite(number := float(text)):
        return number
    return text


def screen(root: Node) -> Iterator[Fault]:
    r"""Errors for texts that look like a credential, and for texts with control characters from escapes."""
    yield from _below(root, ())


def _below(node: Node, path: tuple[Key, ...]) -> Iterator[Fault]:
    if isinstance(node.value, str):
        yield from _text_faults(node.value, node.line, path)
    for key, child in node.children():
        if isinstance(key, str):
            yield from _text_faults(key, node.key_lines[key], (*path, key))
        yield from _below(child, (*path, key))


def _text_faults(text: str, line: int, path: tuple[Key, ...]) -> Iterator[Fault]:
    if (may_have_token(text) or "@" in text) and errors.is_credential(text):
        yield errors.Fault(line, errors.field_name(path), f"this looks like a credential. {errors.ADVICE}")
    if not text.isprintable() and re.search(_BROKEN, text):
        yield errors.Fault(line, errors.field_name(path), "the text contains a control character or an invalid one")


def walk(node: Node, loc: tuple[Key, ...], path: tuple[Key, ...]) -> Place:
    """Name a field below a node, with the line of the deepest part of it that the file has."""
    line, whole = node.line, errors.field_name((*path, *loc))
    for key in loc:
        child = node.child(key)
        if child is None:
            return errors.Place(whole, line, found=False)
        line = node.key_lines[key] if isinstance(key, str) else child.line
        node = child
    return errors.Place(whole, line)
