"""Changes beside mutmut's own: what is left out, decided the other way, or handed on wrongly.

mutmut swaps operators, numbers and arguments. Faults of wiring look otherwise: a condition that is not asked, a
statement that is not there, an inlet or a key that is missing. Each function here takes a node and yields what may
stand in its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import libcst as cst
import libcst.matchers as m
from mutmut.mutation import mutators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LOG_CALL = m.Call(
    func=m.Attribute(
        value=m.Name("log") | m.Attribute(attr=m.Name("log")),
        attr=m.OneOf(*(m.Name(level) for level in ("debug", "info", "warning", "error", "exception"))),
    )
)
LOOKS = m.Arg(
    keyword=m.OneOf(
        *map(m.Name, ("title_justify", "justify", "overflow", "no_wrap", "width", "color_system", "force_terminal")),
        *map(m.Name, ("emoji", "highlight", "ui_color")),
    )
)
"""How a table looks, which review judges."""
SWAPS = {"min": "max", "max": "min", "any": "all", "all": "any"}
PASS = cst.Pass()
PLAIN = m.Name("None") | m.Name("True") | m.Name("False") | m.Integer() | m.Float()
"""For these there are changes that say more than None in their place."""


def decided(test: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """A condition that isn't asked."""
    for answer in ("True", "False"):
        if not m.matches(test, m.Name(answer)):
            yield cst.Name(answer)


def left_out(node: Any) -> Iterator[cst.CSTNode]:
    """One element less: of a list, tuple, set or dictionary."""
    for i in range(len(node.elements)):
        rest = [*node.elements[:i], *node.elements[i + 1 :]]
        if isinstance(node, cst.Set) and not rest:
            continue
        if isinstance(node, cst.Tuple) and len(rest) == 1:
            rest = [rest[0].with_changes(comma=cst.Comma())]
        if isinstance(node, cst.Tuple) and not node.lpar and len(rest) < 2:
            continue
        yield node.with_changes(elements=rest)


def one_side(node: Any) -> Iterator[cst.BaseExpression]:
    """``a and b``, ``a + b``, ``a | b``: only one of both."""
    for side in (node.left, node.right):
        yield side.with_changes(lpar=node.lpar or side.lpar, rpar=node.rpar or side.rpar)


def other_call(node: cst.Call) -> Iterator[cst.Call]:
    """``min`` for ``max``, ``all`` for ``any``."""
    if isinstance(node.func, cst.Name) and node.func.value in SWAPS:
        yield node.with_changes(func=cst.Name(SWAPS[node.func.value]))


def without_statement(node: cst.Expr) -> Iterator[cst.CSTNode]:
    """A call that isn't made. Docstrings and what a generator hands out stay."""
    if isinstance(node.value, cst.Call | cst.Await):
        yield PASS


def without_error(node: cst.Raise) -> Iterator[cst.CSTNode]:
    """An error that isn't raised."""
    yield PASS


def nothing_returned(node: cst.Return) -> Iterator[cst.CSTNode]:
    """A result that isn't given."""
    if node.value is not None and not m.matches(node.value, PLAIN):
        yield node.with_changes(value=cst.Name("None"))


def nothing_kept(node: Any) -> Iterable[cst.CSTNode]:
    """A name for nothing."""
    return () if node.value is None or m.matches(node.value, PLAIN) else mutators.operator_assignment(node)


def other_arguments(node: cst.Call) -> Iterator[cst.Call]:
    """None in an argument's place, or no argument where a call may do without it: by keyword, or the last."""
    for i, arg in enumerate(node.args):
        if m.matches(arg, LOOKS):
            continue
        rest = [*node.args[:i], *node.args[i + 1 :]]
        if not arg.star and not m.matches(arg.value, m.Name("None")):
            yield node.with_changes(
                args=[*node.args[:i], arg.with_changes(value=cst.Name("None")), *node.args[i + 1 :]]
            )
        if arg.keyword or arg.star or i == len(node.args) - 1:
            yield node.with_changes(
                args=[*rest[:-1], rest[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)] if rest else []
            )


def other_word(node: cst.SimpleString) -> Iterator[cst.SimpleString]:
    """Another key, state or id; prose is left alone (see :func:`is_prose`)."""
    quote = node.quote
    if len(quote) == 1 and node.raw_value:
        yield node.with_changes(value=f"{node.prefix}{quote}XX{node.raw_value}{quote}")


OPERATORS: tuple[tuple[Any, Callable[[Any], Iterable[cst.CSTNode]]], ...] = (
    (cst.BaseNumber, mutators.operator_number),
    (cst.Name, mutators.operator_name),
    (cst.Assign | cst.AnnAssign, nothing_kept),
    (cst.AugAssign, mutators.operator_augmented_assignment),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.Call, other_arguments),
    (cst.Call, mutators.operator_symmetric_string_methods_swap),
    (cst.Call, mutators.operator_unsymmetrical_string_methods_swap),
    (cst.Lambda, mutators.operator_lambda),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.CSTNode, mutators.operator_swap_op),
    (cst.List | cst.Tuple | cst.Set | cst.Dict, left_out),
    (cst.BooleanOperation | cst.BinaryOperation, one_side),
    (cst.Call, other_call),
    (cst.Expr, without_statement),
    (cst.Raise, without_error),
    (cst.Return, nothing_returned),
    (cst.SimpleString, other_word),
)


def changes_of(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Everything that may stand in a node's place."""
    for kinds, operator in OPERATORS:
        if isinstance(node, kinds):
            yield from operator(node)


def is_prose(node: cst.CSTNode) -> bool:
    """Whether a node is a text for people: what it says is for review to judge, not for a test."""
    if isinstance(node, cst.SimpleString):
        return bool(re.search(r"\s", node.raw_value))
    if isinstance(node, cst.FormattedString):
        return any(isinstance(part, cst.FormattedStringText) and re.search(r"\s", part.value) for part in node.parts)
    if isinstance(node, cst.ConcatenatedString):
        return is_prose(node.left) or is_prose(node.right)
    if isinstance(node, cst.BinaryOperation):
        return is_prose(node.left) or is_prose(node.right)
    if isinstance(node, cst.IfExp):
        return is_prose(node.body) or is_prose(node.orelse)
    return False
