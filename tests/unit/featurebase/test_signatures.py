from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.featurebase.errors import SignatureRejected
from featurebase_provider.featurebase.signatures import sign, verify
from featurebase_provider.featurebase.signing_secret import SigningSecret

NOW = 1_768_473_000
BODY = b'{"object":"notification_event"}'
SECRET = SigningSecret("whsec_abc123def456ghi789")
OLD = SigningSecret("whsec_old")
SIGNATURE = sign(SECRET, NOW, BODY)


def test_signature_is_the_documented_hmac() -> None:
    """Keyed with the whole secret, over timestamp, dot and body."""
    signed = f"{NOW}.".encode() + BODY
    assert hmac.new(b"whsec_abc123def456ghi789", signed, hashlib.sha256).hexdigest() == SIGNATURE


def test_signature_of_a_known_delivery() -> None:
    """Computed with openssl, independently of this code."""
    known = "5b19045ff74b023d4c162f9319e732c590b8945d8e0dcf084513c555d9fae5a2"
    assert sign(SECRET, NOW, BODY) == known


@pytest.mark.parametrize("now", [float(NOW), datetime.fromtimestamp(NOW, tz=timezone.utc)])
def test_verify_returns_the_secret_that_signed(now: float | datetime) -> None:
    """The current and the previous secret may both be held."""
    for secrets in ([SECRET, OLD], [OLD, SECRET], [SECRET, SECRET]):
        found = verify(BODY, timestamp=str(NOW), signature=SIGNATURE.upper(), secrets=secrets, now=now)
        assert found is SECRET


@pytest.mark.parametrize("shift", [-300, 300, 0, 299.5])
def test_timestamp_within_five_minutes_is_accepted(shift: float) -> None:
    assert verify(BODY, timestamp=str(NOW), signature=SIGNATURE, secrets=[SECRET], now=NOW + shift) is SECRET


@pytest.mark.parametrize(("shift", "why"), [(-301, "in the future"), (301, "old"), (float("nan"), "old")])
def test_timestamp_further_off_is_refused(shift: float, why: str) -> None:
    with pytest.raises(SignatureRejected, match=why):
        verify(BODY, timestamp=str(NOW), signature=SIGNATURE, secrets=[SECRET], now=NOW + shift)


@pytest.mark.parametrize(
    ("timestamp", "signature", "reason"),
    [
        (None, SIGNATURE, "no X-Webhook-Timestamp"),
        ("", SIGNATURE, "no X-Webhook-Timestamp"),
        (str(NOW), None, "no X-Webhook-Signature"),
        (str(NOW), "", "no X-Webhook-Signature"),
        ("١٢٣", SIGNATURE, "not a Unix time"),
        ("²", SIGNATURE, "not a Unix time"),
        (f"{NOW}\n", SIGNATURE, "not a Unix time"),
        (f"-{NOW}", SIGNATURE, "not a Unix time"),
        (f"{NOW}.0", SIGNATURE, "not a Unix time"),
        ("9" * 5000, SIGNATURE, "not a Unix time"),
        (str(NOW), "é" * 64, "not 64 hex"),
        (str(NOW), SIGNATURE + "\n", "not 64 hex"),
        (str(NOW), SIGNATURE[:-1], "not 64 hex"),
        (str(NOW), f"sha256={SIGNATURE}", "not 64 hex"),
        (str(NOW + 1), SIGNATURE, "matches none of the 2"),
        (f"0{NOW}", SIGNATURE, "matches none"),
        (str(NOW), "0" * 64, "matches none"),
    ],
)
def test_refusals_say_which_check_failed(timestamp: str | None, signature: str | None, reason: str) -> None:
    with pytest.raises(SignatureRejected, match=reason):
        verify(BODY, timestamp=timestamp, signature=signature, secrets=[OLD, SECRET], now=NOW)


@pytest.mark.parametrize("body", [BODY + b" ", b"", BODY.upper()])
def test_changed_body_is_refused(body: bytes) -> None:
    with pytest.raises(SignatureRejected, match="matches none"):
        verify(body, timestamp=str(NOW), signature=SIGNATURE, secrets=[SECRET], now=NOW)


def test_without_a_secret_everything_is_refused() -> None:
    with pytest.raises(SignatureRejected, match="none of the 0"):
        verify(BODY, timestamp=str(NOW), signature=SIGNATURE, secrets=[], now=NOW)


def test_every_secret_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first match does not end the search."""
    compared: list[str] = []
    real = hmac.compare_digest

    def compare(expected: str, given: str) -> bool:
        compared.append(expected)
        return real(expected, given)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    verify(BODY, timestamp=str(NOW), signature=SIGNATURE, secrets=[SECRET, OLD, OLD], now=NOW)
    assert len(compared) == 3


def test_naive_now_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        verify(BODY, timestamp=str(NOW), signature=SIGNATURE, secrets=[SECRET], now=datetime(2026, 1, 1))


@given(st.binary(), st.text(), st.text())
def test_nothing_but_a_refusal_comes_of_garbage(body: bytes, timestamp: str, signature: str) -> None:
    with pytest.raises(SignatureRejected):
        verify(body, timestamp=timestamp, signature=signature, secrets=[SECRET], now=NOW)
