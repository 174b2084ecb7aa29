"""Prints what `make test` or `make proofs` did: a line per part with its time, and the total count of tests.

Usage: python scripts/test_summary.py REPORT_DIR
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def count(report: Path) -> tuple[int, int, int]:
    """Count a JUnit report's passed, failed and skipped tests."""
    passed = failed = skipped = 0
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main(report_dir: Path) -> None:
    """Print the table of parts, then the total alone on the last line."""
    parts = report_dir / "parts.txt"
    print(f"\n{parts.read_text() if parts.exists() else ''}")
    counts = [count(report) for report in report_dir.glob("*.xml")]
    passed, failed, skipped = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
