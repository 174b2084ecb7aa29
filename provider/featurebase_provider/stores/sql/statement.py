"""SQL statements with named parameters (``:secret``), as the configuration writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(
    r"""
      (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'                        # PostgreSQL's text with backslashes
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | `[^`]*`
    | --[^\n]*
    | /\*.*?\*/
    | (?<![\w$])(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)    # PostgreSQL's text between dollars
    | ::                                                     # PostgreSQL's cast
    | (?P<end>;\s*\Z)
    | (?P<semicolon>;)
    | (?<![\w:]):(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """One statement, taken apart at its parameters.

    :param texts: the text before, between and after the parameters: one more than there are names.
    :param names: the parameters in order of appearance.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def named(self) -> str:
        """The statement with ``:name`` parameters, for SQLite."""
        return self._joined(":", "", self.texts)

    @property
    def pyformat(self) -> str:
        """The statement with ``%(name)s`` parameters, for PostgreSQL's drivers."""
        return self._joined("%(", ")s", tuple(text.replace("%", "%%") for text in self.texts))

    def _joined(self, before: str, after: str, texts: tuple[str, ...]) -> str:
        pairs = zip(self.names, texts[1:], strict=True)
        return texts[0] + "".join(f"{before}{name}{after}{text}" for name, text in pairs)


def parse_sql(text: str, *, verbs: tuple[str, ...], allowed: tuple[str, ...]) -> SqlStatement:
    """Find the parameters of a statement; texts, quoted names, comments and casts are left alone.

    :param verbs: the words that it may begin with.
    :param allowed: names of the parameters that it may have.
    :raises ValueError: it begins otherwise, is more than one statement, or has another parameter.
    """
    first = re.match(r"\s*(\w+)", _COMMENT.sub(" ", text))
    if first is None or first[1].upper() not in verbs:
        raise ValueError(f"must begin with {' or '.join(verbs)}")
    texts, names, start = [], [], 0
    for token in _TOKEN.finditer(text):
        if token["semicolon"]:
            raise ValueError("must be one statement, without a semicolon inside")
        name = token["name"]
        if not name and not token["end"]:
            continue
        texts.append(text[start : token.start()])
        start = token.end()
        if name and name not in allowed:
            known = ", ".join(f":{other}" for other in allowed) or "none"
            raise ValueError(f"has the parameter :{name}; there is {known}")
        if name:
            names.append(name)
    if len(texts) == len(names):
        texts.append(text[start:])
    return SqlStatement(tuple(texts), tuple(names))


@dataclass(frozen=True, slots=True)
class SqlPlan:
    """The statements of a store.

    :param create: writes a row that is not there yet.
    :param fixed: parameters that the configuration gives.
    :param has_previous: whether the row has a text of its own for the previous secret.
    """

    read: SqlStatement
    write: SqlStatement
    create: SqlStatement
    fixed: Mapping[str, str]
    has_previous: bool
