"""SECURITY.md names the tests that prove it, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))
LINKS = sorted(set(re.findall(r"\]\(([^)]+)\)", PAGE)))


def heading_anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_claims_are_proven_somewhere() -> None:
    assert len(TESTS) > 15


@pytest.mark.parametrize("path", TESTS)
def test_a_test_that_proves_a_claim_is_there(path: str) -> None:
    assert "def test_" in (ROOT / path).read_text()


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_somewhere(link: str) -> None:
    path, _, anchor = link.partition("#")
    assert (ROOT / path).is_file()
    assert not anchor or anchor in heading_anchors(ROOT / path)


@pytest.mark.parametrize("setting", ["previous_for", "adopt", "allow_hosts", "probe", "SSL_CERT_FILE", "fernet_key"])
def test_what_it_speaks_of_exists(setting: str) -> None:
    """A setting that was renamed would leave the page telling people to set nothing."""
    assert f"`{setting}`" in PAGE or f"probe.{setting}" in PAGE
    sources = (ROOT / "provider").rglob("*.py")
    assert any(re.search(rf"\b{setting}\b", source.read_text(), flags=re.IGNORECASE) for source in sources)
