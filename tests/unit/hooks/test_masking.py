from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from featurebase_provider.featurebase.text import forms_of

SECRET = 'whsec_a/b+c=d"e f'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        f"https://x/?secret={quote(SECRET, safe='')}",
        f"secret={quote(SECRET, safe='').replace('%20', '+')}",
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        json.dumps({"secret": SECRET}),
    ],
)
def test_every_way_to_write_it_contains_a_form(written: str) -> None:
    """Airflow masks what it is given and nothing derived from it, so each usual form is given."""
    assert any(form in written for form in forms_of(SECRET))


def test_no_form_is_given_twice() -> None:
    """A secret without special characters has few forms: each one costs a search in every log line."""
    forms = forms_of("whsec_abcdef")
    assert len(forms) == len(set(forms)) == 2
    assert all(forms_of(SECRET))
