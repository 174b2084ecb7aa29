"""The signing secret as a variable of a dotenv file, edited in place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import BOM, Contents, shown
from featurebase_provider.stores.shared.formats.dotenv_lines import joined_lines, lines_of

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.formats import KeyPath
    from featurebase_provider.stores.shared.formats.dotenv_lines import DotenvLines

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+\Z")
_QUOTABLE = re.compile(r"[ -~]+\Z")
_UNSAFE = re.compile(r"""['"\\$`]""")


class DotenvFormat:
    """The secret is a variable of a dotenv file, as python-dotenv, Compose, Node, systemd and shells read it.

    Only what all of them read alike is edited; the rest is refused, with the number of the line.

    :param store: the store's name, for messages.
    :param key: variable of the current secret, a path of one name.
    :param previous_key: variable of the previous one; None keeps none.
    """

    def __init__(self, store: str, key: KeyPath, previous_key: KeyPath | None) -> None:
        self._store, self._key = store, shown(key)
        self._previous_key = shown(previous_key) if previous_key else None

    def read(self, text: str) -> Contents:
        """Read our variables; an empty value counts as absent."""
        lines = self._lines(_head_and_rest(text)[1])
        return Contents(
            _value(lines, self._key),
            _value(lines, self._previous_key) if self._previous_key else None,
            present=any(part.key == self._key for part in lines),
            keys=tuple(dict.fromkeys(part.key for part in lines if part.key and _is_name(part))),
        )

    def edit(self, text: str | None, wanted: Contents) -> str:
        """Set or remove our variables, keeping ``export``, the style of quotes and comments on the line."""
        head, text = _head_and_rest(text or "")
        text = self._set(text, self._key, wanted.current or "", after=None)
        if self._previous_key:
            if wanted.previous:
                text = self._set(text, self._previous_key, wanted.previous, after=self._key)
            else:
                text = "".join(map(self._without_previous, self._lines(text)))
        return head + text

    def _without_previous(self, part: DotenvLines) -> str:
        if part.key != self._previous_key:
            return part.text
        blank = re.match(r"(?:[ \t]*\r?\n)*", part.text)
        return blank.group() if blank else ""

    def _lines(self, text: str) -> list[DotenvLines]:
        """Divide the text, and refuse it where its readers disagree on our variables."""
        if "\0" in text:
            raise StoreRefused(self._store, "it holds binary data, not dotenv; nothing was changed")
        if odd := re.search(r"\r(?!\n)", text):
            line = text.count("\n", 0, odd.start()) + 1
            raise self._refusal(line, "has a carriage return that ends no line", "Remove it")
        lines, joined, mixed = lines_of(text), joined_lines(text), not _is_crlf(text)
        for key in filter(None, (self._key, self._previous_key)):
            for part in lines:
                if part.key == key:
                    self._check_definition(part, joined, mixed)
                elif part.hints_at(key):
                    self._refuse_unclear(part, key)
            self._check_same(lines, key)
        return lines

    def _check_definition(self, part: DotenvLines, joined: dict[int, int], mixed: bool) -> None:
        if not _definition(part.key or "").match(part.text):
            self._refuse_unclear(part, part.key)
        if part.line in joined:
            raise self._refusal(
                part.line,
                f"defines {part.key}, and shells read it as part of what begins on line {joined[part.line]}",
                "End that line's quotes, or remove the backslash at its end",
            )
        if part.next_line in joined:
            raise self._refusal(
                part.line, f"defines {part.key}, and shells read the next line as part of it", "Remove the backslash"
            )
        if mixed and part.text.endswith("\r\n"):
            raise self._refusal(
                part.line,
                f"defines {part.key} and ends in CRLF as not all lines do, so that shells read a longer value",
                "Give the file one kind of line break",
            )

    def _refuse_unclear(self, part: DotenvLines, key: str | None) -> None:
        raise self._refusal(
            part.line,
            f"has {key} in a way that dotenv readers and shells take differently",
            f"Write {key}=value on a line of its own",
        )

    def _check_same(self, lines: list[DotenvLines], key: str) -> None:
        mine = [part for part in lines if part.key == key]
        for part in mine:
            if part.value != mine[0].value:
                raise StoreRefused(
                    self._store,
                    f"lines {mine[0].line} and {part.line} define {key} differently, and readers disagree on which "
                    "counts; nothing was changed",
                    "Remove one of them",
                )

    def _refusal(self, line: int, what: str, advice: str) -> StoreRefused:
        return StoreRefused(self._store, f"line {line} {what}; nothing was changed", advice)

    def _set(self, text: str, key: str, value: str, *, after: str | None) -> str:
        lines = self._lines(text)
        texts = [part.text for part in lines]
        mine = [index for index, part in enumerate(lines) if part.key == key]
        for index in mine:
            if lines[index].value != value:
                texts[index] = self._redefined(texts[index], key, value)
        if not mine:
            beside = [index for index, part in enumerate(lines) if after and part.key == after]
            at = beside[-1] + 1 if beside else len(lines)
            self._insert(texts, at, f"{key}={self._quoted(value, quote='')}")
        return "".join(texts)

    def _insert(self, texts: list[str], at: int, line: str) -> None:
        text, line_break = "".join(texts[:at]), "\r\n" if _is_crlf("".join(texts)) else "\n"
        if text and not text.endswith("\n"):
            texts[at - 1] += line_break
            text += line_break
        number = text.count("\n") + 1
        if number in (joined := joined_lines("".join(texts[:at]))):
            raise self._refusal(
                joined[number],
                "ends in a backslash, which would join the added line to it",
                "Remove the backslash, or add an empty line",
            )
        texts.insert(at, line + line_break)

    def _redefined(self, line: str, key: str, value: str) -> str:
        match = _definition(key).match(line)
        if match is None:
            raise ValueError("the definition was checked")
        quote = match["value"][:1] if match["value"][:1] in {"'", '"'} else ""
        return f"{match['name']}{match['equal'] or '='}{self._quoted(value, quote=quote)}{match['rest']}"

    def _quoted(self, value: str, *, quote: str) -> str:
        if _PLAIN.match(value):
            return f"{quote}{value}{quote}"
        if _QUOTABLE.match(value) and not _UNSAFE.search(value):
            return f"{quote or chr(39)}{value}{quote or chr(39)}"
        raise StoreRefused(
            self._store,
            "the value has characters that dotenv parsers read differently; nothing was changed",
            "Use the format json or raw",
        )


def _definition(key: str) -> re.Pattern[str]:
    """A definition that all readers see, with what stays of it: the name, the ``=`` with its blanks, and the rest."""
    return re.compile(
        rf"""(?P<name>[ \t\r\n]*(?:export[ \t]+)?{re.escape(key)})
        (?P<equal>[ \t]*=(?:[ \t]+(?![\s\#]|\Z))?)?
        (?P<value>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\s'"](?:(?![ \t]\w+=)[^\r\n;&|])*?|)
        (?P<rest>(?:[ \t]+\#[^\r\n]*)?[ \t]*(?:\r?\n)?)\Z""",
        re.DOTALL | re.VERBOSE,
    )


def _is_name(part: DotenvLines) -> bool:
    """Whether a message may show the key: a stray line of a private key is no name."""
    value = part.value or ""
    return bool(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", part.key or "")) and (
        not value.startswith("=") if value else part.value is not None and part.key == (part.key or "").upper()
    )


def _value(lines: list[DotenvLines], key: str) -> str | None:
    return next((part.value or None for part in lines if part.key == key), None)


def _head_and_rest(text: str) -> tuple[str, str]:
    rest = text.lstrip(BOM)  # all of them: python-dotenv's parser loses one
    return text[: len(text) - len(rest)], rest


def _is_crlf(text: str) -> bool:
    """Whether every line break is CRLF."""
    return "\n" in text and not re.search(r"(?<!\r)\n", text)
