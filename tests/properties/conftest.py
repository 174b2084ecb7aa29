from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many stories of overlapping Dag runs were told, by all processes together."""
    reports = terminalreporter.stats.get("passed", [])
    stories = [value for report in reports for name, value in report.user_properties if name == "stories"]
    if stories:
        terminalreporter.write_line(f"{sum(stories)} stories of overlapping Dag runs, in {len(stories)} parts")
