"""What Parameter Store says of a parameter beside its value, and what it therefore takes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.text import clean_text
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.refusals import check_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_REPEATED = ("KeyId", "Description", "AllowedPattern", "Tier", "DataType")

_STANDARD, _LARGER = 4_096, 8_192
"""Bytes that a parameter takes, by its tier: 4 KB and 8 KB (AWS's API reference, "PutParameter", Value).

AWS's own error message speaks of characters; bytes are never fewer.
"""

_MOST_VERSIONS = 100
"""AWS's API reference, "PutParameter", ParameterMaxVersionLimitExceeded."""

_JAVA_ONLY = re.compile(r"\[\^?\[|&&|--|\|\||~~")
"""What Python reads differently, within a set of characters, from other kinds of expressions, such as Java's."""

_REPEATED_GROUP = re.compile(r"\)[*+{]")
"""What may take Python for ever, such as ``(a+)+``, with the whole process standing still meanwhile."""


@dataclass(frozen=True, slots=True)
class ParameterSettings:
    """The settings of one version.

    :param repeated: what a new version might lose if it is not sent again. Policies stay by themselves: AWS preserves
        them "until you send new policies or an empty policy".
    :param ends: when AWS deletes the parameter, as its policy says it; empty if it doesn't.
    :param stuck: the oldest version, if there is no room for another one while that has a label.
    """

    repeated: Mapping[str, str] = field(default_factory=dict)
    ends: str = ""
    stuck: int | None = None

    @classmethod
    def of(cls, history: Iterable[Mapping[str, Any]], version: int) -> ParameterSettings:
        """Read them from the parameter's history.

        :param history: the answers of ``GetParameterHistory``, all pages.
        :param version: the version that was read; a later one may have come since.
        """
        newest_first = sorted(history, key=lambda entry: int(entry["Version"]), reverse=True)
        found: Mapping[str, Any] = next((entry for entry in newest_first if entry["Version"] <= version), {})
        full = len(newest_first) >= _MOST_VERSIONS and bool(newest_first[-1].get("Labels"))
        return cls(
            {name: found[name] for name in _REPEATED if found.get(name)},
            _expiry(found.get("Policies") or ()),
            int(newest_first[-1]["Version"]) if full else None,
        )

    def check(self, store: str, text: str) -> None:
        """Compare a text that would be written with the tier's size, the allowed pattern and the room for versions.

        :raises StoreRefused: AWS would refuse it.
        """
        if self.repeated.get("Tier", "Standard") == "Standard":
            holder = "a parameter of the standard tier"
            check_size(
                store,
                text,
                most=_STANDARD,
                holder=holder,
                advice="Make it an advanced one (aws ssm put-parameter --tier Advanced), or move other keys elsewhere",
            )
        check_size(
            store,
            text,
            most=_LARGER,
            holder="a parameter of the advanced tier",
            advice="Move other keys to another parameter, or the whole to AWS Secrets Manager",
        )
        if self._matches(text) is False:
            raise StoreRefused(
                store,
                "the parameter's AllowedPattern does not match what a run would write; nothing was changed",
                "Widen the pattern: a signing secret may have 64 or more letters, digits and the signs + / - _ =",
            )
        if self.stuck is not None:
            raise StoreRefused(
                store,
                f"the parameter has {_MOST_VERSIONS} versions, and AWS drops none that has a label, as the oldest has "
                f"({self.stuck}); nothing was changed",
                "Move that label to a newer version (aws ssm label-parameter-version)",
            )

    def doubt(self, texts: Sequence[str]) -> str:
        """What can't be told of these texts; empty if all can."""
        if all(self._matches(text) for text in texts):
            return ""
        return "whether its AllowedPattern, as AWS reads it, matches shows only then"

    def _matches(self, text: str) -> bool | None:
        """Whether AWS takes the text; None if that can't be told.

        Not documented: whether the expression has to match the whole value or a part of it.
        """
        pattern = self.repeated.get("AllowedPattern", "")
        if not pattern:
            return True
        try:
            untold = _JAVA_ONLY.search(pattern) or _REPEATED_GROUP.search(pattern)
            compiled = None if untold else re.compile(pattern)
        except re.error:
            compiled = None
        if compiled is None:
            return None
        if compiled.search(text) is None:
            return False
        return True if compiled.fullmatch(text) else None


def _expiry(policies: Iterable[Mapping[str, Any]]) -> str:
    """The timestamp of a policy of the type ``Expiration`` (AWS's user guide, "Assigning parameter policies")."""
    for policy in policies:
        try:
            told = json.loads(policy["PolicyText"])
            if told["Type"] == "Expiration":
                return clean_text(str(told["Attributes"]["Timestamp"]), limit=40)
        except (ValueError, TypeError, KeyError):  # of a type that AWS invented since
            continue
    return ""
