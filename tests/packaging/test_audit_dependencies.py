"""The dependency audit: what it can tell without any network, and how it reads uv's answer."""

from __future__ import annotations

from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from scripts import audit_dependencies as audit

PINS = audit.pins((Path(__file__).parents[2] / "constraints.txt").read_text())
ADVISORY = {
    "dependency": {"name": "idna", "version": "3.6"},
    "id": "GHSA-jjg7-2v4v-x38h",
    "summary": "Specially crafted inputs take long",
    "fix_versions": ["3.7"],
}


def test_what_is_installed_is_what_is_pinned_consistent_and_licensed(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(audit.local_faults(PINS)) == []
    assert "their licences:" in capsys.readouterr().out


def test_another_version_than_the_pin_is_a_fault() -> None:
    faults = list(audit.local_faults(audit.pins("httpx==0.1  # far too old\n")))
    assert any("is installed, 0.1 is pinned" in fault for fault in faults)


def test_a_bound_that_would_hold_back_an_airflow_is_a_fault() -> None:
    ours = Message()
    ours["Requires-Dist"] = "apache-airflow<4,>=3.1"
    ours["Requires-Dist"] = "httpx>=0.27"
    assert list(audit.upper_bounds(ours)) == ["apache-airflow<4,>=3.1"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "MIT"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD License"),
        ({"License": "ISC\nPermission is granted"}, "ISC"),
        ({"License": "UNKNOWN"}, audit.NO_LICENCE),
        ({}, audit.NO_LICENCE),
    ],
)
def test_licences_are_found_wherever_they_are_stated(fields: dict[str, str], licence: str) -> None:
    found = Message()
    for name, value in fields.items():
        found[name] = value
    assert audit.licence_of(found) == licence  # type: ignore[arg-type]


def test_a_known_vulnerability_is_named_with_its_fix() -> None:
    assert list(audit.found_in({"vulnerabilities": [ADVISORY]})) == [
        "idna 3.6: GHSA-jjg7-2v4v-x38h, fixed in 3.7: Specially crafted inputs take long"
    ]
    assert "fixed in no version" in next(audit.found_in({"vulnerabilities": [{**ADVISORY, "fix_versions": []}]}))


@pytest.mark.parametrize(("required", "status"), [("", 0), ("required", 1)])
def test_advisories_that_could_not_be_had_are_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], required: str, status: int
) -> None:
    """An audit that looked nothing up must not read like one that found nothing."""
    monkeypatch.setenv("FEATUREBASE_AUDIT", required)
    monkeypatch.setattr(audit, "local_faults", lambda constraints: [])
    monkeypatch.setattr(audit, "advisories", lambda constraints: ([], "no route"))
    assert audit.main([]) == status
    said = capsys.readouterr().out
    assert "WERE NOT LOOKED UP: no route" in said
    assert "No known vulnerability" not in said


@pytest.mark.parametrize(("known", "status"), [([], 0), (["idna 3.6: GHSA-x"], 1)])
def test_a_known_vulnerability_fails_the_audit(monkeypatch: pytest.MonkeyPatch, known: Any, status: int) -> None:
    monkeypatch.setattr(audit, "local_faults", lambda constraints: [])
    monkeypatch.setattr(audit, "advisories", lambda constraints: (known, ""))
    assert audit.main([]) == status
