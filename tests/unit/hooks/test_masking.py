from __future__ import annotations

import base64
import json
import logging
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import MaskSecret

from featurebase_provider.featurebase.text import forms_of
from featurebase_provider.hooks.masking import mask

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


def test_what_is_printed_needs_the_supervisor_which_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Log records are clean at once. A client that prints is why no store is written before the supervisor answers."""
    secret = "whsec_" + base64.b32encode(b"printed by a client").decode()
    answered: list[bool] = []

    def answer(message: MaskSecret) -> None:
        assert secret in message.value
        logging.getLogger("a.client").warning("sends %s", secret)
        print(secret)
        answered.append(True)

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=answer), raising=False)
    mask(secret)
    assert answered == [True]
    assert (secret in caplog.text, secret in capsys.readouterr().out) == (False, True)
