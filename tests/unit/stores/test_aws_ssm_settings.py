"""What a parameter's history says of what may be written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.aws_ssm.settings import ParameterSettings

EXPIRATION = {"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2030-12-02T21:34:33.000Z"}}


def settings(**facts: Any) -> ParameterSettings:
    return ParameterSettings.of([{"Version": 1, **facts}], 1)


@pytest.mark.parametrize(
    ("tier", "most"), [(None, 4_096), ("Standard", 4_096), ("Advanced", 8_192), ("Intelligent-Tiering", 8_192)]
)
def test_the_tier_says_how_much(tier: str | None, most: int) -> None:
    """In bytes: a sign that is none of ASCII's counts as its bytes do."""
    found = settings(Tier=tier)
    found.check("store", "x" * most)
    found.check("store", "é" * (most // 2))
    for text in ("x" * (most + 1), "é" * (most // 2) + "x"):
        with pytest.raises(StoreRefused, match=f"{most + 1:,} bytes, and .* takes {most:,}"):
            found.check("store", text)


@pytest.mark.parametrize(
    ("pattern", "text", "taken"),
    [
        ("", "whsec_a", True),
        (r"^whsec_[a-z]+$", "whsec_a", True),
        (r"^whsec_[a-z]+$", "whsec_A", False),
        (r"whsec_", "whsec_a", None),  # a part of it
        (r"[", "whsec_a", None),  # not an expression of Python's
        (r"\p{Lower}+_a", "whsec_a", None),
        (r"[a-z_&&[^q]]+", "whsec_a", None),  # means something else in Java
        (r"[[a-z]_]+", "whsec_a", None),
        (r"^([a-z]+_?)+$", "a" * 60 + "+", None),  # takes Python for ever
        (r"^(\w{1,9}){2,}$", "a" * 60 + "+", None),
        (r"^(whsec)?_?[a-z]+$", "whsec_a", True),
    ],
)
def test_a_pattern_is_compared_as_far_as_it_can_be(pattern: str, text: str, taken: bool | None) -> None:
    """What can't be told is no refusal, and no proof."""
    found = settings(AllowedPattern=pattern)
    if taken is False:
        with pytest.raises(StoreRefused, match="AllowedPattern"):
            found.check("store", text)
    else:
        found.check("store", text)
    assert bool(found.doubt([text])) is (taken is not True)


def test_no_message_shows_the_value_or_the_pattern() -> None:
    """A pattern may be the secret itself."""
    with pytest.raises(StoreRefused) as caught:
        settings(AllowedPattern="^whsec_held$").check("store", "whsec_new")
    assert "whsec" not in str(caught.value)


@pytest.mark.parametrize(
    ("policies", "ends"),
    [
        (None, ""),
        ([], ""),
        ([json.dumps(EXPIRATION)], "2030-12-02T21:34:33.000Z"),
        ([json.dumps({"Type": "NoChangeNotification"}), json.dumps(EXPIRATION)], "2030-12-02T21:34:33.000Z"),
        ([json.dumps({"Type": "ExpirationNotification", "Attributes": {"Before": "30"}})], ""),
        (["no JSON", "7", "{}", json.dumps({"Type": "Expiration"})], ""),
    ],
)
def test_the_policy_says_when_the_parameter_is_deleted(policies: list[str] | None, ends: str) -> None:
    """Policies of other types, and what is no policy, are no reason to fail."""
    facts = {"Policies": [{"PolicyText": text, "PolicyType": "?"} for text in policies]} if policies is not None else {}
    assert settings(**facts).ends == ends


def test_settings_are_those_of_the_version_that_was_read() -> None:
    """A version that came since is not what is going to be replaced."""
    history = [{"Version": 3, "Tier": "Advanced"}, {"Version": 1}, {"Version": 2, "Tier": "Standard"}]
    assert ParameterSettings.of(history, 2).repeated == {"Tier": "Standard"}


def test_no_settings_without_a_history() -> None:
    """A parameter that is going to be created."""
    assert ParameterSettings.of([], 0) == ParameterSettings()
