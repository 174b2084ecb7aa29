from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.featurebase.text import (
    clean_text,
    forms_of,
    markdown_safe,
    may_have_token,
    what_became_of,
    without_tokens,
)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("one\r\ntwo\tthree", "one  two three"),
        ("left\u202eright\x00", "leftright"),
        ("key whsec_abc-123!", "key [redacted]"),
        ('{"k":"sk_live_1","n":1}', '{"k":"[redacted]","n":1}'),
        ("whsec_\x00abc", "[redacted]"),
        ("hunter2 and hunter22", "[redacted] and [redacted]"),
        ("task_sk and disk_usage", "task_sk and disk_usage"),
        ("x" * 301, "x" * 299 + "…"),
        ("x" * 295 + " whsec_abcdef", "x" * 295 + " [re…"),
    ],
)
def test_clean_text(text: str, cleaned: str) -> None:
    """Control characters and secrets go, the rest stays."""
    assert clean_text(text, secrets=("hunter2", "hunter22", "")) == cleaned


@pytest.mark.parametrize("form", forms_of('pa"ss/wörd+ 7'))
def test_a_secret_goes_in_each_of_its_forms(form: str) -> None:
    assert clean_text(f"refused: <{form}>", secrets=['pa"ss/wörd+ 7']) == "refused: <[redacted]>"


def test_what_is_too_short_to_be_a_secret_garbles_nothing() -> None:
    assert clean_text("error 1 of 10", secrets=["1", "", "10"]) == "error 1 of 10"


@given(st.from_regex(r"whsec_[A-Za-z0-9+/=_-]{8,40}", fullmatch=True), st.text(max_size=20), st.text())
def test_cleaned_text_is_one_short_line_without_the_secret(secret: str, before: str, after: str) -> None:
    """Whatever surrounds a signing secret, it does not get through."""
    cleaned = clean_text(f"{before}{secret}{after}", limit=50)
    assert len(cleaned) <= 50
    assert cleaned.isprintable()
    assert "whsec_" not in cleaned


@pytest.mark.parametrize(
    ("seen", "how"),
    [
        ("whsec_Abc1  ", "with white space around it"),
        ("whsec_abc1", "in another case"),
        ("whsec_A", "cut to 7 of 10 characters"),
        ("****", ""),
        ("whsec_Abc1!", ""),
    ],
)
def test_what_became_of_a_text_is_told_without_it(seen: str, how: str) -> None:
    assert what_became_of("whsec_Abc1", seen) == how


@pytest.mark.parametrize("text", ["whsec_abc", "WHSEC_abc", "a sk_abc", "SK_LIVE_abc", "\u017fk_abc", "s\u212a_abc"])
def test_no_case_of_a_token_is_passed_over(text: str) -> None:
    """Neither of those letters that Python's patterns take for an s or a k."""
    assert may_have_token(text)
    assert without_tokens(text).endswith("[redacted]")


def test_a_text_without_a_token_stays_as_it_is() -> None:
    assert without_tokens("disk_of_a_secret") == "disk_of_a_secret"
    assert not may_have_token("featurebase_signing_secret")


def test_markdown_escapes_all_punctuation_and_nothing_else() -> None:
    assert markdown_safe("a_b<c> [d](e)\n\u00e4!") == r"a\_b\<c\> \[d\]\(e\) ä\!"
