"""One mistake in the rotation file takes away no entry but its own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from featurebase_provider.config import ConfigError, RightEntries, load_right_entries

FIRST = """\
  - name: first
    webhook_id: 507f1f77bcf86cd799439011
    stores: [{type: airflow_variable, name: first}]
"""
SECOND = """\
  - name: second
    webhook_name: Second
    stores: [{type: airflow_variable, name: second}]
"""


@pytest.fixture
def entries(tmp_path: Path):  # type: ignore[no-untyped-def]
    def from_text(text: str) -> RightEntries:
        file = tmp_path / "rotation.yaml"
        file.write_text(text)
        return load_right_entries(file)

    return from_text


def names(found: RightEntries) -> tuple[list[str], list[str]]:
    return [config.name for config in found.webhooks], list(found.wrong)


def test_a_file_that_is_right(entries) -> None:  # type: ignore[no-untyped-def]
    found = entries(f"webhooks:\n{FIRST}{SECOND}")
    assert (names(found), found.error) == ((["first", "second"], []), None)


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        (f"webhooks:\n{FIRST}{SECOND.replace('airflow_variable', 'airflow_varible')}", ["first"], ["second"]),
        (f"webhooks:\n{FIRST}{SECOND}  - first\n", ["first", "second"], ["webhooks[2]"]),
        (f"webhooks:\n{FIRST}{SECOND.replace('name: second', 'name: Second')}", ["first"], ["webhooks[1]"]),
        (f"webhooks:\n{FIRST}{SECOND.replace('webhook_name: ', '#')}", ["first"], ["second"]),
        (f"webhooks:\n{FIRST}{SECOND}{FIRST}", ["first", "second"], ["webhooks[2]"]),
        (f"webhooks:\n{FIRST}{FIRST.replace('name: first', 'name: twin', 1)}", ["first"], ["twin"]),
        (f"webhooks:\n{FIRST}{SECOND}    stores: []\n", ["first"], ["second"]),
        (f"audti: {{}}\nwebhooks:\n{FIRST}{SECOND}", ["first", "second"], []),
        (f"audit: {{heal: 1}}\nwebhooks:\n{FIRST}{SECOND}", ["first", "second"], []),
        # Settings that an emergency can do without.
        (f"webhooks:\n{FIRST}    schedule: hourly\n{SECOND}    retries: -1\n", ["first", "second"], []),
        (f"defaults: {{schedule: hourly}}\nwebhooks:\n{FIRST}{SECOND}", ["first", "second"], []),
        (f"webhooks:\n{FIRST}    execution_timeout: PT30S\n{SECOND}", ["first", "second"], []),
        # A misspelt name may be that of the connection: a name means another webhook there, an id doesn't.
        (f"defaults: {{conn: other}}\nwebhooks:\n{FIRST}{SECOND}", ["first"], ["second"]),
        (f"defaults: [a]\nwebhooks:\n{FIRST}{SECOND}", ["first"], ["second"]),
        (f"webhooks:\n{FIRST}    conn: a\n{SECOND}    conn: b\n", ["first"], ["second"]),
        (f"webhooks:\n{FIRST}    featurebase_conn_id: [a]\n{SECOND}", ["second"], ["first"]),
    ],
)
def test_what_is_left(entries, text: str, right: list[str], wrong: list[str]) -> None:  # type: ignore[no-untyped-def]
    found = entries(text)
    assert names(found) == (right, wrong)
    assert found.error is not None
    assert all("rotation.yaml:" in problem for problem in found.wrong.values())


def test_a_wrong_entry_is_told_with_its_own_faults_only(entries) -> None:  # type: ignore[no-untyped-def]
    """By line and field; the tenth is not the first."""
    others = "".join(SECOND.replace("second", f"n{number}").replace("Second", f"N{number}") for number in range(1, 10))
    broken = SECOND.replace("webhook_name: Second", "webhook_name: 5")
    found = entries(f"webhooks:\n{FIRST.replace('507f1f77bcf86cd799439011', 'nine')}{others}{broken}")
    assert list(found.wrong) == ["first", "second"]
    assert "webhooks[0].webhook_id" in found.wrong["first"]
    assert "webhooks[10]" not in found.wrong["first"]


def test_right_settings_stay_beside_a_wrong_one(entries) -> None:  # type: ignore[no-untyped-def]
    (config,) = entries(f"webhooks:\n{FIRST}    retries: many\n    probe: {{timeout: PT7M}}\n").webhooks
    assert config.probe is not None
    assert (config.retries, config.probe.timeout) == (3, timedelta(minutes=7))


@pytest.mark.parametrize("text", ["webhooks:\n  - name: a\n   b", "webhooks: []", f"webhooks:\n{FIRST}    stores: 1\n"])
def test_nothing_is_right(entries, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError):
        entries(text)


PAIR = """\
  - name: pair
    strategy: overlap
    webhook_ids: [507f1f77bcf86cd799439021, 507f1f77bcf86cd799439022]
    probe: {timeout: PT7M}
    stores: [{type: airflow_variable, name: secrets, format: json}]
"""


@pytest.mark.parametrize(
    ("was", "instead"),
    [
        ("strategy: overlap", "strategy: overlapping"),
        ("strategy: overlap", "stratgy: overlap"),
        ("strategy: overlap", "strategy: refresh"),
        ("    strategy: overlap\n", ""),
        ("webhook_ids: [507f1f77bcf86cd799439021, ", "webhook_ids: [507f1f77bcf86cd799439022, "),
        ("webhook_ids: [507f1f77bcf86cd799439021, ", "webhook_ids: [507f1f77bcf86cd799439011, "),
        ("webhook_ids: [507f1f77bcf86cd799439021, 507f1f77bcf86cd799439022]", "webhook_id: 507f1f77bcf86cd799439021"),
        ("webhook_ids: [", "webhook_id: 507f1f77bcf86cd799439021\n    webhok_ids: ["),
        ("    strategy: overlap\n    webhook_ids: [", "    webhook_id: 507f1f77bcf86cd799439021\n    webhook_idz: ["),
        ("    webhook_ids: [", "    webhook_id: 507f1f77bcf86cd799439021\n    webhook_ids: ["),
        ("format: json", "format: raw"),
    ],
)
def test_an_invalid_pair_is_never_rotated_as_something_else(entries, was: str, instead: str) -> None:  # type: ignore[no-untyped-def]
    """Not as a single webhook, not as another pair."""
    found = entries(f"webhooks:\n{FIRST}{PAIR.replace(was, instead)}")
    assert names(found) == (["first"], ["pair"])


@pytest.mark.parametrize(
    ("wrong", "timeout"),
    [
        ("retries: -1", 7),
        ("reactivate: true", 7),
        ("overlap: {pending: PT1S}", 7),
        ("probe: {timeout: 7}", 10),
        ("probe: {successes: 3}", 10),
        ("probe: false", 10),
    ],
)
def test_a_pair_with_a_wrong_setting_has_its_default(entries, wrong: str, timeout: int) -> None:  # type: ignore[no-untyped-def]
    """A pair whose probe is wrong or missing has the default probe: it is never without one."""
    text = PAIR.replace("probe: {timeout: PT7M}", wrong) if wrong.startswith("probe") else f"{PAIR}    {wrong}\n"
    _, pair = entries(f"webhooks:\n{FIRST}{text}").webhooks
    assert pair.webhook_ids == ("507f1f77bcf86cd799439021", "507f1f77bcf86cd799439022")
    assert pair.probe.timeout == timedelta(minutes=timeout)
    assert pair.probe.steady == timedelta(minutes=2)
