"""Reads YAML into a tree that knows the line of every field.

PyYAML's parser gives events; its object constructors are never used, so no tag can build a Python object.
Plain scalars mean what YAML 1.2 says: only ``true`` and ``false`` are booleans, and a date stays text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from featurebase_provider.config.errors import ADVICE, Fault, is_credential, shown_key
from featurebase_provider.featurebase.text import without_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NODES = 50_000
MAX_DEPTH = 40

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR_TAG = "tag:yaml.org,2002:str"
_INT = re.compile(r"[-+]?[0-9]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,15}|[0-9]{1,15}(?:\.[0-9]{0,15})?)(?:[eE][-+]?[0-9]{1,3})?")

Key = str | int
Plain = Any
"""What a tree says without its lines: None, bool, int, float, str, list or dict."""

_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(slots=True, eq=False)
class Node:
    """A value of the file and where it stands.

    :param value: a scalar, a list of nodes, or a mapping of text keys to nodes.
    :param line: line of the value, counted from 1.
    :param key_lines: for a mapping, the line of each key.
    """

    value: Any
    line: int
    key_lines: dict[str, int] = field(default_factory=dict)
    size: int = 1
    depth: int = 1

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
    """The text is no YAML tree that can be used at all."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def field_name(path: tuple[Key, ...]) -> str:
    """A path as people write it: ``webhooks[0].probe.timeout``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{shown_key(key)}"
    return text.removeprefix(".")


def read_document(text: str) -> tuple[Node | None, list[Fault]]:
    """Read one YAML document.

    :returns: its tree (None if there is none) and the faults that leave a tree to go on with: duplicate keys,
        keys that are not text, and tags.
    :raises Unreadable: the text is no YAML, or a structure that cannot be used.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.YAMLError as exc:
        raise Unreadable(_syntax_fault(text, exc)) from None
    return builder.root, builder.faults


def _syntax_fault(text: str, exc: yaml.YAMLError) -> Fault:
    if not isinstance(exc, yaml.MarkedYAMLError):  # the reader met a character that YAML forbids
        return Fault(0, "", "this is not valid YAML: it holds a character that YAML does not allow")
    mark = exc.problem_mark or exc.context_mark
    line = mark.line + 1 if mark else 0
    lines = text.splitlines()
    if 0 < line <= len(lines) and re.match(r" *\t", lines[line - 1]):
        return Fault(line, "", "a tab indents this line; YAML allows spaces only")
    # The parser's own words quote a character at most; the snippet that it adds quotes the line: left out.
    words = ", ".join(without_tokens(part) for part in (exc.context, exc.problem) if part)
    return Fault(line, "", f"this is not valid YAML: {words or 'it cannot be parsed'}")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    node: Node
    anchor: str | None
    path: tuple[Key, ...]
    key: Node | None = None
    merges: list[Node] = field(default_factory=list)


class _Builder:
    """Builds the tree from events, without recursion, and counts what aliases repeat."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.faults: list[Fault] = []
        self._open: list[_Open] = []
        self._merged = 0
        self._anchors: dict[str, Node | None] = {}

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            if self.root is not None:
                raise Unreadable(Fault(line, "", "a second document starts here (---); one is allowed"))
            self._anchors.clear()
        elif isinstance(event, yaml.AliasEvent):
            self._place(self._aliased(event.anchor or "", line))
        elif isinstance(event, yaml.ScalarEvent):
            self._check_tag(event, line)
            node = Node(_scalar(event), line)
            if event.anchor:
                self._anchors[event.anchor] = node
            self._place(node)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()

    def _aliased(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            raise Unreadable(Fault(line, self._here(), "an alias (*) names an anchor (&) that does not exist"))
        node = self._anchors[anchor]
        if node is None:
            raise Unreadable(Fault(line, self._here(), "an alias (*) stands inside its own anchor (&)"))
        return node

    def _start(self, event: yaml.CollectionStartEvent, line: int) -> None:
        self._check_tag(event, line)
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable(Fault(line, "", f"values are nested more than {MAX_DEPTH} deep"))
        if event.anchor:
            self._anchors[event.anchor] = None
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_Open(Node(value, line), event.anchor, self._path()))

    def _end(self) -> None:
        done = self._open.pop()
        for merged in done.merges:
            self._merged += len(merged.value)
            if self._merged > MAX_NODES:
                raise Unreadable(Fault(done.node.line, "", f"<< merges more than {MAX_NODES} values"))
            for key, child in merged.value.items():
                if key not in done.node.value:
                    self._adopt(done.node, child)
                    done.node.value[key] = child
                    done.node.key_lines[key] = merged.key_lines[key]
        if done.anchor:
            self._anchors[done.anchor] = done.node
        self._place(done.node)

    def _place(self, node: Node) -> None:
        """Put a finished node where it belongs: as root, item, key or value."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node.value, list):
            self._adopt(parent.node, node)
            parent.node.value.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            key, parent.key = parent.key, None
            self._pair(parent, key, node)

    def _pair(self, parent: _Open, key: Node, node: Node) -> None:
        name = key.value
        if not isinstance(name, str):
            self.faults.append(Fault(key.line, field_name(parent.path), "a key must be text; put it in quotes"))
        elif name == "<<":
            self._merge(parent, node)
        elif name in parent.node.value:
            first = parent.node.key_lines[name]
            where = field_name((*parent.path, name))
            self.faults.append(Fault(key.line, where, f"stands twice in this mapping; first on line {first}"))
        else:
            self._adopt(parent.node, node)
            parent.node.value[name] = node
            parent.node.key_lines[name] = key.line

    def _merge(self, parent: _Open, node: Node) -> None:
        sources = node.value if isinstance(node.value, list) else [node]
        if all(isinstance(source.value, dict) for source in sources):
            parent.merges.extend(sources)
        else:
            message = "<< merges a mapping or a list of mappings only"
            self.faults.append(Fault(node.line, field_name(parent.path), message))

    def _adopt(self, parent: Node, child: Node) -> None:
        parent.size += child.size
        parent.depth = max(parent.depth, child.depth + 1)
        # An alias counts as everything it repeats, so a few lines can't stand for millions of values.
        if parent.size > MAX_NODES:
            raise Unreadable(Fault(parent.line, "", f"the file holds more than {MAX_NODES} values, aliases counted"))
        if parent.depth > MAX_DEPTH:
            raise Unreadable(Fault(parent.line, "", f"values are nested more than {MAX_DEPTH} deep"))

    def _check_tag(self, event: Any, line: int) -> None:
        if event.tag not in (None, "!", _STR_TAG):
            message = "a tag (!) stands here; tags are not allowed in this file"
            self.faults.append(Fault(line, self._here(), message))

    def _path(self) -> tuple[Key, ...]:
        """Path of the node that comes next."""
        if not self._open:
            return ()
        parent = self._open[-1]
        if isinstance(parent.node.value, list):
            return (*parent.path, len(parent.node.value))
        if parent.key is not None and isinstance(parent.key.value, str):
            return (*parent.path, parent.key.value)
        return parent.path

    def _here(self) -> str:
        return field_name(self._path())


def _scalar(event: yaml.ScalarEvent) -> Plain:
    text: str = event.value
    if not event.implicit[0]:  # quoted, a block, or tagged
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text.lower() in ("true", "false") and text in (text.lower(), text.upper(), text.capitalize()):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    # 15 digits at most: a webhook id made of digits (or like 507e12...) must stay the text that it is.
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def screen(root: Node) -> Iterator[Fault]:
    r"""Texts that look like a credential, and texts with control characters that came in as escapes."""
    yield from _below(root, ())


def _below(node: Node, path: tuple[Key, ...]) -> Iterator[Fault]:
    if isinstance(node.value, str):
        yield from _text_faults(node.value, node.line, path)
    for key, child in node.children():
        if isinstance(key, str):
            yield from _text_faults(key, node.key_lines[key], (*path, key))
        yield from _below(child, (*path, key))


def _text_faults(text: str, line: int, path: tuple[Key, ...]) -> Iterator[Fault]:
    if is_credential(text):
        yield Fault(line, field_name(path), f"this looks like a credential. {ADVICE}")
    if _BROKEN.search(text):
        yield Fault(line, field_name(path), "the text holds a control character or a broken one")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field stands in the file.

    :param field: its name, whether the file has it or not.
    :param line: its line, or that of the deepest part of the path that the file has.
    :param found: whether the file has it.
    """

    field: str
    line: int
    found: bool = True


def walk(node: Node, loc: tuple[Key, ...], path: tuple[Key, ...]) -> Place:
    """Name a field below a node, with the line of the deepest part of it that the file has."""
    line, whole = node.line, field_name((*path, *loc))
    for key in loc:
        child = node.child(key)
        if child is None:
            return Place(whole, line, found=False)
        line = node.key_lines[key] if isinstance(key, str) else child.line
        node = child
    return Place(whole, line)
