"""Signs deliveries as Featurebase does, and verifies them as a receiver should.

Source: Featurebase's guide "Security". The signature is the hex HMAC-SHA256 of ``{timestamp}.{raw body}``,
keyed with the whole signing secret as UTF-8, its ``whsec_`` prefix included.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featurebase_provider.featurebase.signing_secret import SigningSecret

TIMESTAMP_HEADER = "X-Webhook-Timestamp"
SIGNATURE_HEADER = "X-Webhook-Signature"
TOLERANCE_SECONDS = 300


def sign(secret: SigningSecret, timestamp: int, body: bytes) -> str:
    """Sign a delivery.

    :param timestamp: Unix time in seconds, as sent in the timestamp header.
    :param body: the body's bytes as sent.
    :returns: 64 lower-case hex digits for the signature header.
    """
    return _signature(secret, str(timestamp), body)


def verify(
    body: bytes,
    *,
    timestamp: str | None,
    signature: str | None,
    secrets: Sequence[SigningSecret],
    now: float | datetime,
    tolerance: float = TOLERANCE_SECONDS,
) -> SigningSecret:
    """Find the secret that signed a delivery.

    :param body: the body's bytes as received.
    :param timestamp: the timestamp header, None if there is none.
    :param signature: the signature header, None if there is none.
    :param secrets: the secrets to accept, for example the current and the previous one. All of them are compared, each
        in constant time.
    :param now: Unix time in seconds, or an aware datetime.
    :param tolerance: seconds by which the timestamp may be off, in either direction.
    :raises SignatureRejected: the signature does not match, or the timestamp is too far off; the reason says which.
    """
    if isinstance(now, datetime):
        if now.tzinfo is None:
            raise ValueError("now must be an aware datetime")
        now = now.timestamp()
    if not timestamp:
        raise SignatureRejected(f"it has no {TIMESTAMP_HEADER} header")
    if not signature:
        raise SignatureRejected(f"it has no {SIGNATURE_HEADER} header")
    if not re.fullmatch(r"[0-9]{1,15}", timestamp):
        raise SignatureRejected(f"{TIMESTAMP_HEADER} is not a Unix time in seconds")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", signature):
        raise SignatureRejected(f"{SIGNATURE_HEADER} is not 64 hex digits")
    off_by = int(timestamp) - now
    if not abs(off_by) <= tolerance:
        direction = "in the future" if off_by > 0 else "old"
        raise SignatureRejected(f"its timestamp is {abs(off_by):.0f} s {direction}; the limit is {tolerance:.0f} s")
    # No early exit: the time this takes must not reveal which secret matched, or how much of it.
    signed_by = [
        secret for secret in secrets if hmac.compare_digest(_signature(secret, timestamp, body), signature.lower())
    ]
    if not signed_by:
        raise SignatureRejected(f"{SIGNATURE_HEADER} matches none of the {len(secrets)} secret(s) held")
    return signed_by[0]


def _signature(secret: SigningSecret, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.reveal().encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
