"""What python-dotenv makes of the lines of a dotenv file, and where shells and other readers see something else."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHELL_TOKEN = re.compile(
    r"""(?<![^\s;&|()])\#[^\n]*                                         # a comment begins where a word would
    |(?P<joins>'[^']*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|\\\r?\n|\\\Z)  # what may go on on the next line
    |\\.|(?P<open>['"`])|[^\\'"`\#]+|\#""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class DotenvLines:
    """Consecutive lines that python-dotenv takes together: blank lines, and then a definition, a comment or neither.

    :param text: the lines, to the character.
    :param line: number of the first line that is not blank.
    :param key: the variable that it defines, if any.
    :param value: None where the variable is named without ``=``.
    :param broken: whether python-dotenv can't read it.
    """

    text: str = field(repr=False)
    line: int
    key: str | None
    value: str | None = field(repr=False)
    broken: bool

    @property
    def next_line(self) -> int:
        """Number of the line behind it."""
        return self.line + self.text.strip().count("\n") + 1

    def hints_at(self, key: str) -> bool:
        """Whether some readers see ``key`` defined in what python-dotenv takes for something else."""
        name = re.escape(key)
        if self.broken:  # readonly K=a, unset K, K="a"; export K
            return bool(re.search(rf"(?<![\w$.-])(?<!\$\{{){name}(?![\w.-])", self.text))
        # K+=a, A=1 K=2, and a line of its own in another variable's quotes
        definition = rf"(?:\A|[\s;&|]){name}\s*(?:\+?=|\[|:\s)"
        return self.key is not None and bool(re.search(definition, f"{self.key}={self.value}"))


def lines_of(text: str) -> list[DotenvLines]:
    """Divide a text as python-dotenv does; the parts together are the text."""
    from dotenv.parser import parse_stream

    found, line = [], 1
    for binding in parse_stream(io.StringIO(text)):
        part = binding.original.string
        blank = part[: len(part) - len(part.lstrip())].count("\n")
        found.append(DotenvLines(part, line + blank, binding.key, binding.value, binding.error))
        line += part.count("\n")
    return found


def joined_lines(text: str) -> dict[int, int]:
    """The lines that don't stand by themselves for every reader: for each the line where what it belongs to begins.

    A line may begin within quotes, or follow a line that ends in a backslash; the line behind the last one, too.
    Where quotes are left open, no shell reads the file, and only those count that begin a value.
    """
    joins = list(_joins(text))
    left_open = any(join.text == "" for join in joins)
    lines = {}
    for join in joins:
        if join.begins_value or join.text.startswith("\\") or not left_open:
            further = max(join.text.count("\n"), join.text == "\\")
            lines.update(dict.fromkeys(range(join.line + 1, join.line + 1 + further), join.line))
    return lines


class _Join(NamedTuple):
    """What may go on on the next line; no text for quotes that are left open."""

    text: str
    line: int
    begins_value: bool = False


def _joins(text: str) -> Iterator[_Join]:
    line = 1
    for match in _SHELL_TOKEN.finditer(text):
        if match["open"]:
            yield _Join("", line)
        elif match["joins"]:
            yield _Join(match["joins"], line, begins_value=text[match.start() - 1 : match.start()] == "=")
        line += match.group().count("\n")
