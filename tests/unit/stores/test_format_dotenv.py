from __future__ import annotations

import io
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import Contents, RawFormat
from featurebase_provider.stores.shared.formats.dotenv import DotenvFormat

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = DotenvFormat("a store", ("KEY",), ("OLD",))
ALONE = DotenvFormat("a store", ("KEY",), None)


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("KEY=a\n", Contents("b"), "KEY=b\n"),
        ("KEY=a", Contents("b"), "KEY=b"),
        ("# one\n\nA=1\nKEY=a # why\nB='2'\n", Contents("b"), "# one\n\nA=1\nKEY=b # why\nB='2'\n"),
        ("export KEY='a' # why\n", Contents("b"), "export KEY='b' # why\n"),
        ('  KEY = "a"\n', Contents("b"), '  KEY = "b"\n'),
        ('KEY="a\nb"\nA=1\n', Contents("c"), 'KEY="c"\nA=1\n'),
        ("KEY=\n", Contents("b"), "KEY=b\n"),
        ("KEY\nA=1\n", Contents("b"), "KEY=b\nA=1\n"),
        ("KEY= # none yet\n", Contents("b"), "KEY=b # none yet\n"),
        ("KEY=#a\n", Contents("b"), "KEY=b\n"),
        ("KEY=a\r\nA=1\r\n", Contents("b", "a"), "KEY=b\r\nOLD=a\r\nA=1\r\n"),
        ("A=1", Contents("b"), "A=1\nKEY=b\n"),
        ("A=1\r\nB=2", Contents("b"), "A=1\r\nB=2\r\nKEY=b\r\n"),
        ("", Contents("b", "a"), "KEY=b\nOLD=a\n"),
        (None, Contents("b"), "KEY=b\n"),
        ("\ufeffKEY=a\n", Contents("b"), "\ufeffKEY=b\n"),
        ("\ufeff\ufeff\n", Contents("b"), "\ufeff\ufeff\nKEY=b\n"),
        ("KEY=a\nA=1\nKEY='a'\n", Contents("c"), "KEY=c\nA=1\nKEY='c'\n"),
        ("KEY=  \n", Contents("b"), "KEY=b  \n"),
        ("A=1\r\nB=2\n", Contents("b"), "A=1\r\nB=2\nKEY=b\n"),
        ("A=\"it's\"\nKEY=a\n", Contents("b"), "A=\"it's\"\nKEY=b\n"),
        ("A=it's\nKEY='a'\n", Contents("b"), "A=it's\nKEY='b'\n"),
        ("# it's\nKEY=a\n# isn't it\n", Contents("b"), "# it's\nKEY=b\n# isn't it\n"),
        ("# C:\\\nKEY=a\n", Contents("b"), "# C:\\\nKEY=b\n"),
        ("B=$KEY\nC=${KEY}\nKEY=a\nD=1 # KEY=x\n", Contents("b"), "B=$KEY\nC=${KEY}\nKEY=b\nD=1 # KEY=x\n"),
        ("KEY=a\n\nOLD=b\n\n# end\n", Contents("a"), "KEY=a\n\n\n# end\n"),
        ("KEYS=1\nMY_KEY=2\n", Contents("a"), "KEYS=1\nMY_KEY=2\nKEY=a\n"),
        ("KEY=a\n", Contents("b c"), "KEY='b c'\n"),
        ('KEY="a"\n', Contents("b#c"), 'KEY="b#c"\n'),
        ("A=\"open\nKEY=a\n", Contents("b"), "A=\"open\nKEY=b\n"),
        ("KEY='${A}'\n", Contents("b"), "KEY='b'\n"),
    ],
)  # fmt: skip
def test_edits_our_variables_and_nothing_else(before: str | None, wanted: Contents, after: str) -> None:
    assert FORMAT.edit(before, wanted) == after
    assert FORMAT.read(after) == wanted


def test_without_a_previous_key_only_the_current_one_is_touched() -> None:
    assert ALONE.edit("KEY=a\nOLD=1\n", Contents("b", "a")) == "KEY=b\nOLD=1\n"
    assert ALONE.read("KEY=a\nOLD=1\n") == Contents("a")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("KEY=theirs\nexport KEY\n", "lines 1 and 2 define KEY differently"),
        ("\nKEY=theirs\n\nKEY=\n", "lines 2 and 4 define KEY differently"),
        ("KEY=theirs\nKEY=theirs\nexport KEY='ours'\n", "lines 1 and 3 define KEY differently"),
        ("KEY=a\nOLD=theirs\nA='x\ny'\nOLD=\n", "lines 2 and 5 define OLD differently"),
        ("A=1\\\nKEY=theirs\n", "line 2 defines KEY, and shells read it as part of what begins on line 1"),
        ("A=1\\\r\nKEY=theirs\r\n", "as part of what begins on line 1"),
        ("KEY=theirs\\\nA=1\n", "line 1 defines KEY, and shells read the next line as part of it"),
        ("KEY=theirs\\", "line 1 defines KEY, and shells read the next line as part of it"),
        ("A=it's\nKEY=theirs\nB=it's\n", "line 2 defines KEY, and shells read it as part of what begins on line 1"),
        ("A=`x\n\nKEY=theirs\ny`\n", "line 3 defines KEY, and shells read it as part of what begins on line 1"),
        ("A=it's\nB=`x\nKEY=theirs\ny`\n", "line 3 defines KEY, and shells read it as part of what begins on line 2"),
        ("A=1\nKEY=theirs\r\n", "line 2 defines KEY and ends in CRLF as not all lines do"),
        ("A=1\nB=x\ry\n", "line 2 has a carriage return"),
        *((f"# c\n{line}\nA=1\n", "line 2 has KEY in a way") for line in (
            "readonly KEY=theirs", "KEY=theirs; export KEY", "KEY=theirs && A=1", "KEY=theirs A=1",
            "KEY='theirs'; export KEY",
            "KEY='theirs' export KEY", "declare -x KEY=theirs", "export A=1 KEY=theirs", "A=1;KEY=theirs", "unset KEY",
            "KEY: theirs", "KEY+=theirs", "KEY[0]=theirs", "'KEY'=theirs", "A='x\nKEY=theirs\n'",
            "KEY\u00a0=theirs", "\u2028KEY=theirs", "export -n KEY", 'A="x\nexport KEY=theirs\nB="y"',
        )),
    ],
)  # fmt: skip
def test_what_readers_take_differently_is_refused_with_its_line(text: str, lines: str) -> None:
    for call in (lambda: FORMAT.read(text), lambda: FORMAT.edit(text, Contents("new-secret"))):
        with pytest.raises(StoreRefused) as caught:
            call()
        assert lines in str(caught.value)
        assert "nothing was changed" in str(caught.value)
        assert "theirs" not in str(caught.value)


@pytest.mark.parametrize("end", ["A=1\\", "A=1\\\n", "KEY=a\nA='x\ny'\nB=1\\"])
def test_no_line_is_added_behind_a_backslash(end: str) -> None:
    form = DotenvFormat("a store", ("NEW",), None)
    line = 1 + end.rstrip("\n").count("\n")
    with pytest.raises(StoreRefused, match=f"line {line} ends in a backslash"):
        form.edit(end, Contents("b"))
    assert form.edit(end.rstrip("\n") + "\n\n", Contents("b")).endswith("\\\n\nNEW=b\n")


def test_names_beside_ours_are_told_and_stray_lines_are_not() -> None:
    text = "A=1\nb=2\nEMPTY=\nKEY=x\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nxAoIBAQDf==\nqQ=\nA=1\n"
    assert FORMAT.read(text).keys == ("A", "b", "EMPTY", "KEY")
    assert FORMAT.read(text).present
    assert FORMAT.read("KEY=\n").present
    assert not FORMAT.read("KEYS=1\n").present


@pytest.mark.parametrize("text", ['KEY="a\n', "export KEY='a\nA=1\n", 'A=1\nOLD="x\n', "A=\0\n"])
def test_definitions_that_parsers_read_differently_are_refused(text: str) -> None:
    with pytest.raises(StoreRefused, match="nothing was changed"):
        FORMAT.read(text)
    with pytest.raises(StoreRefused, match="nothing was changed"):
        FORMAT.edit(text, Contents("b"))


@pytest.mark.parametrize("value", ["a\nb", "it's", 'say "x"', "$HOME", "`id`", "back\\slash", "ü", "\t", "a\0"])
def test_values_that_parsers_read_differently_are_refused(value: str) -> None:
    with pytest.raises(StoreRefused, match="json or raw") as caught:
        FORMAT.edit("KEY=a\n", Contents(value))
    assert value not in str(caught.value)


@pytest.mark.parametrize("line", ["KEY=a", "export KEY='a' # c", 'KEY="a"', "A=1"])
@pytest.mark.parametrize("value", ["whsec_0aZ-._/:@%+,=", "two words", "a#b", "a #b; c & (d) *"])
def test_a_shell_reads_what_was_written(tmp_path: Path, line: str, value: str) -> None:
    """python-dotenv and a POSIX shell agree on the value."""
    file = tmp_path / "test.env"
    file.write_text(FORMAT.edit(f"{line}\n", Contents(value)))
    shell = subprocess.run(
        ["sh", "-c", '. "$1"; printf %s "$KEY"', "sh", str(file)], check=True, capture_output=True, text=True
    )
    assert shell.stdout == value
    assert dotenv_values(file)["KEY"] == value


others = st.sampled_from(
    ["# a comment", "", "  ", "A=1", "export B='x y'", 'C="a\nb"', "D", "E=${A}", "F=o'pen", "=x", "KEYS=2", "G=a # b"]
)
OURS = ("KEY=a", "export KEY='a'", "KEY=", "KEY", 'KEY = "a" # c', "OLD=b", "OLD='b' # d")
whsec = st.from_regex(r"whsec_[a-z0-9]{4,12}", fullmatch=True)


def name_or_line(line: str) -> str:
    return line.removeprefix("export ")[:3] if line in OURS else line


@given(
    st.lists(others | st.sampled_from(OURS), max_size=8, unique_by=name_or_line),
    st.sampled_from(["\n", "\r\n"]),
    whsec,
    st.none() | whsec,
)
def test_any_file_keeps_its_other_lines(lines: list[str], ending: str, current: str, previous: str | None) -> None:
    """Whatever lines a file has, all but ours survive to the character, and editing twice is editing once."""
    text = "".join(line.replace("\n", ending) + ending for line in lines)
    wanted = Contents(current, previous)
    edited = FORMAT.edit(text, wanted)
    assert FORMAT.read(edited) == wanted
    assert FORMAT.edit(edited, wanted) == edited
    mine = ("KEY=", "KEY =", "KEY\r", "KEY\n", "export KEY", "OLD=")

    def foreign(source: str) -> list[str]:
        return [line for line in source.splitlines(keepends=True) if not line.startswith(mine) and line.strip()]

    assert foreign(edited) == foreign(text)


@given(st.text())
def test_any_text_is_edited_or_refused(text: str) -> None:
    """No text raises anything but our own error, and what was edited reads as wanted everywhere."""
    with suppress(StoreRefused):
        edited = FORMAT.edit(text, Contents("whsec_new"))
        assert FORMAT.read(edited) == Contents("whsec_new")
        assert dotenv_values(stream=io.StringIO(edited))["KEY"] == "whsec_new"


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [("a\n", "a", "b\n"), ("a", "a", "b"), ("a\r\n", "a", "b\r\n"), ("", None, "b"), ("\n", None, "b\n")],
)
def test_raw_keeps_a_line_break_at_the_end(before: str, value: str | None, after: str) -> None:
    raw = RawFormat("a store")
    assert raw.read(before) == Contents(value)
    assert raw.edit(before, Contents("b", "a")) == after


def test_raw_refuses_binary_data() -> None:
    with pytest.raises(StoreRefused, match="binary"):
        RawFormat("a store").edit("a\0b", Contents("b"))


def test_raw_variables_have_no_line_break_of_their_own() -> None:
    raw = RawFormat("a store", line_break=False)
    assert raw.read("a\n") == Contents("a\n")
    assert raw.edit("a\n", Contents("b")) == "b"
