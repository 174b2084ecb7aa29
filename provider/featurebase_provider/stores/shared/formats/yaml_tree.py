"""Where values lie in a YAML text, so that one is changed and every other character stays.

PyYAML composes the nodes, which know where they begin and end; no value is ever constructed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.stores.shared.formats import KeyPath

MAX_DEPTH = 100

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


class UnfitYaml(ValueError):
    """A text that can't be edited; the message says why and quotes nothing of it."""


def compose(text: str) -> yaml.MappingNode | None:
    """The mapping that a text is; None where it is empty, but for comments.

    :param text: without a byte order mark.
    :raises UnfitYaml: it is no YAML, or no single mapping.
    """
    if odd := re.search("[\x85\u2028\u2029]|\r(?!\n)", text):
        line = text.count("\n", 0, odd.start()) + 1
        raise UnfitYaml(f"line {line} has a character that some YAML readers take for a line break and others don't")
    try:
        _check_shape(text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnfitYaml(f"it is not valid YAML{f', see line {mark.line + 1}' if mark else ''}") from None
    except (yaml.YAMLError, UnicodeEncodeError):  # each quotes a character
        raise UnfitYaml("it holds a character that YAML does not allow") from None
    if root is None or (isinstance(root, yaml.ScalarNode) and root.start_mark.index == root.end_mark.index):
        return None
    if not isinstance(root, yaml.MappingNode):
        raise UnfitYaml("it holds no YAML mapping")
    return root


def _check_shape(text: str) -> None:
    """Refuse what must not be composed: the C library's stack ends with the process."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise UnfitYaml(f"its values are nested more than {MAX_DEPTH} deep")
    if documents > 1:
        raise UnfitYaml(f"it holds {documents} YAML documents, and a key may be meant for each of them")


def entries(mapping: yaml.MappingNode) -> Iterator[tuple[str, yaml.ScalarNode, yaml.Node]]:
    """The entries that have a name: the name, and the nodes of key and value."""
    for key, value in mapping.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            yield key.value, key, value


def merged_names(mapping: yaml.MappingNode) -> set[str]:
    """The names that a mapping takes over from others by ``<<``."""
    names: set[str] = set()
    waiting, seen = _sources(mapping), {id(mapping)}
    while waiting:
        source = waiting.pop()
        if id(source) not in seen:
            seen.add(id(source))
            names.update(name for name, *_ in entries(source))
            waiting += _sources(source)
    return names


def _sources(mapping: yaml.MappingNode) -> list[yaml.MappingNode]:
    found: list[yaml.Node] = []
    for key, value in mapping.value:
        if isinstance(key, yaml.ScalarNode) and key.tag == _MERGE:
            found += value.value if isinstance(value, yaml.SequenceNode) else [value]
    return [source for source in found if isinstance(source, yaml.MappingNode)]


def is_block_text(node: yaml.Node) -> bool:
    """Whether it is a text in block style: ``|`` or ``>``."""
    return isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")


def is_repeated(before: yaml.Node, node: yaml.Node) -> bool:
    """Whether an alias stands in the place of ``node``, which lies elsewhere.

    :param before: what the place follows.
    """
    return bool(node.start_mark.index < before.end_mark.index)


def end_of(text: str, key: yaml.Node, value: yaml.Node) -> int:
    """Where the last line of an entry ends, with its line break."""
    end = key.end_mark.index
    while not is_repeated(key, value):
        end = value.end_mark.index
        if not isinstance(value, yaml.CollectionNode) or value.flow_style or not value.value:
            break
        last = value.value[-1]
        key, value = last if isinstance(last, tuple) else (key, last)
    if end and is_block_text(value) and text[end - 1] == "\n":
        return end
    line = re.compile(r"[^\n]*\n?").match(text, end)
    return line.end() if line else end


def indent_of(text: str, node: yaml.Node) -> str | None:
    """The blanks that a line begins with; None where something else stands before the node."""
    start = node.start_mark.index
    before = text[text.rfind("\n", 0, start) + 1 : start]
    return None if before.strip(" ") else before


def step_of(mapping: yaml.MappingNode | None) -> str:
    """By how much the text indents one mapping within another, judged by the first; two blanks if there is none."""
    for _, key, value in entries(mapping) if mapping else ():
        if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            step: int = value.value[0][0].start_mark.column - key.start_mark.column
            if step > 0:
                return " " * step
    return "  "


def alike_but(old: yaml.MappingNode | None, new: yaml.MappingNode | None, paths: list[KeyPath]) -> bool:
    """Whether two documents say the same but for these paths and the mappings that hold nothing else.

    Both are changed by this.
    """
    for root in (old, new):
        for path in paths:
            if root is not None:
                _prune(root, path)
    if old is None or new is None:
        return not (old and old.value) and not (new and new.value)
    return _alike(old, new, set())


def _prune(mapping: yaml.MappingNode, path: KeyPath) -> None:
    for pair in list(mapping.value):
        key, value = pair
        if not isinstance(key, yaml.ScalarNode) or key.value != path[0]:
            continue
        if len(path) > 1 and isinstance(value, yaml.MappingNode):
            _prune(value, path[1:])
        if len(path) == 1 or (isinstance(value, yaml.MappingNode) and not value.value):
            mapping.value.remove(pair)


def _alike(old: Any, new: Any, compared: set[tuple[int, int]]) -> bool:
    if isinstance(old, str) or isinstance(new, str):
        return bool(old == new)
    if isinstance(old, yaml.Node) and isinstance(new, yaml.Node):
        if (id(old), id(new)) in compared:  # an alias
            return True
        compared.add((id(old), id(new)))
        return bool(old.tag == new.tag) and _alike(old.value, new.value, compared)
    return len(old) == len(new) and all(_alike(one, other, compared) for one, other in zip(old, new, strict=True))
