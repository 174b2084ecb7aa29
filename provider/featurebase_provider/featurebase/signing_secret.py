"""A webhook signing secret that refuses to be shown or stored by accident."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler


def fingerprint_of(value: str) -> str:
    """Identify a secret without revealing it: ``sha256:`` and the first 16 hex digits of its SHA-256.

    64 bits are enough to tell the secrets of one webhook apart, and a random secret can't be recovered from them.
    """
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:16]}"


class SigningSecret:
    """The secret that signs a webhook's deliveries; only :meth:`reveal` returns its value.

    As text it shows only its fingerprint. It can't be pickled, serialised to JSON or changed.

    :param value: the whole secret, including the ``whsec_`` prefix.
    :raises ValueError: the value is empty.
    """

    __slots__ = ("__value", "fingerprint")

    fingerprint: str

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("a signing secret cannot be empty")
        object.__setattr__(self, "_SigningSecret__value", value)
        object.__setattr__(self, "fingerprint", fingerprint_of(value))

    def reveal(self) -> str:
        """The secret itself. Call this only to write it to a store, to sign with it, or to mask it."""
        return self.__value  # type: ignore[attr-defined, no-any-return]

    @property
    def trimmed(self) -> SigningSecret:
        """The same secret without surrounding white space and byte order mark, which editors and ``echo`` add."""
        value = self.reveal().strip().strip("\ufeff").strip()
        return SigningSecret(value) if value not in ("", self.reveal()) else self

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a signing secret cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a signing secret cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SigningSecret):
            return NotImplemented
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"<SigningSecret {self.fingerprint}>"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> NoReturn:
        raise TypeError("a signing secret can't be formatted as text; use its fingerprint")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing secret must not enter XCom, a trigger or a pickle")

    def __copy__(self) -> SigningSecret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SigningSecret:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a pydantic model hold a signing secret: built from a non-empty string, never serialised."""
        return core_schema.union_schema(
            [
                core_schema.is_instance_schema(cls),
                core_schema.no_info_after_validator_function(cls, core_schema.str_schema(min_length=1)),
            ],
            serialization=core_schema.plain_serializer_function_ser_schema(_refuse_serialisation),
        )


def _refuse_serialisation(secret: SigningSecret) -> NoReturn:
    raise TypeError("a signing secret must not be serialised")
