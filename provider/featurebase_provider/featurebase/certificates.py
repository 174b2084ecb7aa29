"""Recognises TLS certificate errors, and says what to do about them."""

from __future__ import annotations

import ssl

ADVICE = (
    "for authorities of your own have SSL_CERT_FILE (a file) or SSL_CERT_DIR (a folder) name them, on every worker and "
    "triggerer; REQUESTS_CA_BUNDLE does not count here"
)


def is_certificate_error(error: BaseException) -> bool:
    """Whether an error, or one of its causes, means that the server's certificate could not be verified."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
