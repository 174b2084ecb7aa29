"""Recognises TLS certificate errors."""

from __future__ import annotations

import ssl


def is_certificate_error(error: BaseException) -> bool:
    """Whether an error, or one of its causes, means that the server's certificate could not be verified."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
