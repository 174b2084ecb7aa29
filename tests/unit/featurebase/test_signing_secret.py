from __future__ import annotations

import copy
import hashlib
import json
import logging
import pickle

import pytest
from pydantic import BaseModel, ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of

VALUE = "whsec_abc123def456ghi789"


class Holder(BaseModel):
    secret: SigningSecret


def test_fingerprint_is_the_start_of_the_sha256() -> None:
    expected = f"sha256:{hashlib.sha256(VALUE.encode()).hexdigest()[:16]}"
    assert fingerprint_of(VALUE) == SigningSecret(VALUE).fingerprint == expected


def test_every_text_of_a_secret_is_its_fingerprint(caplog: pytest.LogCaptureFixture) -> None:
    secret = SigningSecret(VALUE)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r", secret, secret)
    for text in (repr(secret), str(secret), repr([secret]), caplog.text, repr(Holder(secret=secret))):
        assert VALUE not in text
        assert secret.fingerprint in text


def test_only_reveal_gives_it_up() -> None:
    assert SigningSecret(VALUE).reveal() == VALUE


@pytest.mark.parametrize(
    "leak",
    [
        lambda secret: f"{secret}",
        lambda secret: f"{secret:>40}",
        pickle.dumps,
        json.dumps,
        lambda secret: Holder(secret=secret).model_dump(),
        lambda secret: Holder(secret=secret).model_dump_json(),
        lambda secret: pickle.dumps(Holder(secret=secret)),
    ],
)
def test_ways_out_are_closed(leak: object) -> None:
    """Formatting and serialising raise, and the error does not tell the secret either."""
    with pytest.raises((TypeError, ValueError)) as caught:
        leak(SigningSecret(VALUE))  # type: ignore[operator]
    assert VALUE not in str(caught.value)


def test_it_cannot_be_changed() -> None:
    secret = SigningSecret(VALUE)
    with pytest.raises(AttributeError):
        secret.fingerprint = "sha256:0"
    with pytest.raises(AttributeError):
        del secret.fingerprint


def test_equality_is_by_value() -> None:
    assert SigningSecret(VALUE) == SigningSecret(VALUE)
    assert SigningSecret(VALUE) != SigningSecret("whsec_other")
    assert SigningSecret(VALUE) != VALUE
    assert len({SigningSecret(VALUE), SigningSecret(VALUE)}) == 1


def test_copies_are_the_secret_itself() -> None:
    secret = SigningSecret(VALUE)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        SigningSecret("")
    with pytest.raises(ValidationError):
        Holder.model_validate({"secret": ""})


def test_a_model_makes_one_from_text() -> None:
    assert Holder.model_validate({"secret": VALUE}).secret == SigningSecret(VALUE)


def test_white_space_around_it_can_be_left_out() -> None:
    exact = SigningSecret("whsec_a b")
    assert exact.trimmed is exact
    assert SigningSecret("\t whsec_a b \r\n").trimmed == exact
    assert SigningSecret("\ufeffwhsec_a b\r\n").trimmed == exact
    assert SigningSecret(" \n").trimmed.reveal() == " \n"
