"""Values that are no secrets and have the form of one, for trying beforehand whether a secret could be written."""

from __future__ import annotations

from featurebase_provider.featurebase.signing_secret import SigningSecret

SHORTEST = 64
"""Characters of a trial secret at least.

Featurebase documents no length. Its examples have 24 to 27 characters; a random 256-bit value in Base64 behind
``whsec_`` would have 50.
"""

_PREFIX = "whsec_"
_ALPHABET = "TrialNotASecret0123456789+/-_=abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def trial_like(*known: SigningSecret | None) -> SigningSecret:
    """A value as long as the longest of these secrets, in mixed case, with digits and Base64's signs.

    :param known: secrets that Featurebase has issued for the webhook, as far as they are known.
    """
    longest = max((len(secret.reveal()) for secret in known if secret is not None), default=0)
    return _of(max(SHORTEST, longest), _ALPHABET)


def trial_before(trial: SigningSecret) -> SigningSecret:
    """Another value of the same form, for the secret before it."""
    return _of(len(trial.reveal()), _ALPHABET[::-1])


def _of(length: int, alphabet: str) -> SigningSecret:
    repeated = alphabet * (length // len(alphabet) + 1)
    return SigningSecret(_PREFIX + repeated[: length - len(_PREFIX)])
