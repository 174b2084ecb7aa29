"""The changed versions of a module: one small change each, named so that the name outlives moved lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider, WhitespaceInclusivePositionProvider

from dev.mutants.wiring import LOG_CALL, LOOKS, changes_of, decided, is_prose

if TYPE_CHECKING:
    from pathlib import Path

SHOWN_BEFORE, SHOWN_AFTER = 40, 20
"""How much of the statement a name shows around the change, in characters."""

NEVER = (
    cst.Annotation,
    cst.Decorator,
    cst.Import,
    cst.ImportFrom,
    cst.Param,  # its name; defaults are looked at apart
)
TYPES = m.OneOf(m.Name("cast"), m.Name("TypeVar"), m.Name("isinstance"), m.Name("TypeAdapter"))


@dataclass(frozen=True)
class Change:
    """What a mutant is called.

    :param module: path below the package.
    :param function: qualified name, empty for what stands outside of functions.
    :param before: the statement around the change, as it is.
    :param after: as the mutant has it; empty where it has nothing there.
    """

    module: str
    function: str
    before: str
    after: str


@dataclass(frozen=True)
class Mutant:
    """A changed module.

    :param line: where the change is.
    :param lines: every line of the statement around it.
    :param at_import: whether the statement runs when the module is imported.
    :param source: the whole changed module.
    """

    change: Change
    line: int
    lines: range
    at_import: bool
    source: str


def mutants_of(path: Path, module: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines, each source once."""
    text = path.read_text()
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    collector = _Collector(text, module, wrapper.module)
    wrapper.visit(collector)
    once: dict[str, Mutant] = {}
    for mutant in collector.found:
        if mutant.source != text and _compiles(mutant.source):
            once.setdefault(mutant.source, mutant)
    return sorted(once.values(), key=lambda mutant: mutant.line)


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


ALL = m.Assign(targets=[m.AssignTarget(target=m.Name("__all__"))])


class _Collector(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider, WhitespaceInclusivePositionProvider, ParentNodeProvider)

    def __init__(self, text: str, module: str, tree: cst.Module) -> None:
        super().__init__()
        self.found: list[Mutant] = []
        self._text, self._module, self._tree = text, module, tree
        self._starts: list[int] = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
        self._names: list[str] = []
        self._in_function = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Param):
            if node.default is not None:
                node.default.visit(self)
            return False
        if isinstance(node, NEVER) or _is_for_people(node) or _is_for_types(node) or m.matches(node, LOOKS | ALL):
            return False
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self._names.append(node.name.value)
            self._in_function += isinstance(node, cst.FunctionDef)
        if isinstance(node, cst.If | cst.While | cst.IfExp | cst.CompIf):
            for answer in decided(node.test):
                self._note(node.test, answer)
        if not self._stays(node):
            for other in changes_of(node):
                self._note(node, other)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.ClassDef | cst.FunctionDef):
            self._names.pop()
            self._in_function -= isinstance(original_node, cst.FunctionDef)

    def _stays(self, node: cst.CSTNode) -> bool:
        """Whether there is nothing to change about the node itself."""
        parent = self.get_metadata(ParentNodeProvider, node, None)
        if isinstance(node, cst.SimpleString) and isinstance(parent, cst.Expr):
            return True  # a docstring
        if isinstance(node, cst.Tuple | cst.List | cst.BinaryOperation) and isinstance(parent, cst.Index):
            return True  # the types in Annotated[...] and the like
        if isinstance(node, cst.Assign | cst.AnnAssign) and not self._in_function:
            return m.matches(node, m.Assign(value=m.Call(func=TYPES)))
        return False

    def _note(self, node: cst.CSTNode, other: cst.CSTNode) -> None:
        if isinstance(node, cst.Call) and isinstance(other, cst.Call) and _only_prose_differs(node, other):
            return
        begin, end = self._span(node)
        code = self._tree.code_for_node(other)
        statement = self._statement(node)
        first, last = self._span(statement, of_header=True)
        source = self._text[:begin] + code + self._text[end:]
        grown = len(source) - len(self._text)
        before, after = _shown(self._text[first:last], source[first : last + grown])
        position = self.get_metadata(PositionProvider, node)
        lines = range(self._line_at(first), self._line_at(last - 1) + 1)
        change = Change(self._module, ".".join(self._names), before, after)
        self.found.append(Mutant(change, position.start.line, lines, not self._in_function, source))

    def _statement(self, node: cst.CSTNode) -> cst.CSTNode:
        while not isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement | cst.Module):
            node = self.get_metadata(ParentNodeProvider, node)
        return node

    def _span(self, node: cst.CSTNode, *, of_header: bool = False) -> tuple[int, int]:
        """Offsets of all that a node's code is made of, or of a statement without its body."""
        provider = PositionProvider if of_header else WhitespaceInclusivePositionProvider
        position: Any = self.get_metadata(provider, node)
        end = position.end
        if of_header and isinstance(node, cst.BaseCompoundStatement):
            end = self.get_metadata(PositionProvider, node.body).start
        return self._offset(position.start), self._offset(end)

    def _offset(self, position: Any) -> int:
        return self._starts[position.line - 1] + int(position.column)

    def _line_at(self, offset: int) -> int:
        return self._text.count("\n", 0, offset) + 1


def _is_for_people(node: cst.CSTNode) -> bool:
    """Texts, and what goes into the log."""
    return is_prose(node) or m.matches(node, m.Expr(value=LOG_CALL))


def _is_for_types(node: cst.CSTNode) -> bool:
    """What only a type checker reads."""
    return m.matches(node, m.If(test=m.Name("TYPE_CHECKING")) | m.Call(func=TYPES)) and not m.matches(
        node, m.Call(func=m.Name("cast"), args=[m.DoNotCare(), m.Arg(value=m.Call())])
    )


def _only_prose_differs(node: cst.Call, other: cst.Call) -> bool:
    """Whether just a text for people was taken out of a call."""
    kept = [arg.value for arg in other.args]
    return any(is_prose(arg.value) and not any(arg.value is one for one in kept) for arg in node.args)


def _on_one_line(code: str) -> str:
    """The same however the statement is wrapped and commented on."""
    code = re.sub(r"(?m)^\s*#.*$|  #[^\"'\n]*$", "", code)
    text = re.sub(r"\s+", " ", code).strip()
    return re.sub(r",? (?=[)\]}])", "", re.sub(r"(?<=[(\[{]) ", "", text))


def _shown(before: str, after: str) -> tuple[str, str]:
    """The differing part of a statement on one line, with something around it."""
    old, new = _on_one_line(before), _on_one_line(after)
    shorter = min(len(old), len(new))
    same = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    rest = next((i for i in range(shorter - same) if old[-1 - i] != new[-1 - i]), shorter - same)
    start = max(0, same - SHOWN_BEFORE)
    while 0 < start < same and re.fullmatch(r"\w\w", old[start - 1 : start + 1]):
        start += 1
    tail = max(0, rest - SHOWN_AFTER)
    while 0 < tail < rest and re.fullmatch(r"\w\w", old[len(old) - tail - 1 : len(old) - tail + 1]):
        tail += 1
    return tuple(  # type: ignore[return-value]
        ("…" if start else "") + text[start : len(text) - tail].strip() + ("…" if tail else "") for text in (old, new)
    )
