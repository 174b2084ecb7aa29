"""The real statsd_exporter, with the mapping that docs/metrics.md names."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import httpx
import pytest

from tests.servers.local_server import free_port, start
from tests.servers.statsd import settings_for

MAPPING = Path(__file__).parents[2] / "docs" / "monitoring" / "statsd_exporter.yaml"
LINE = re.compile(r"^(featurebase_\w+)(?:\{(.*)\})? (\S+)$", flags=re.MULTILINE)


class StatsDExporter:
    """It runs until the end of the session. Where the program is not installed, the test is skipped.

    Debian 12 has no package of it, so CI skips the test too.

    :param tags: whether Airflow sends tags.
    """

    def __init__(self, *, tags: bool) -> None:
        program = shutil.which("statsd_exporter") or shutil.which("prometheus-statsd-exporter")
        if program is None:
            pytest.skip("statsd_exporter is not installed")
        self._tags = tags
        self.port, web = free_port(), free_port()
        self._page = f"http://127.0.0.1:{web}/metrics"
        options = {
            "statsd.mapping-config": MAPPING,
            "statsd.listen-udp": f"127.0.0.1:{self.port}",
            "statsd.listen-tcp": "",
            "web.listen-address": f"127.0.0.1:{web}",
        }
        command = [program, *(f"--{name}={value}" for name, value in options.items())]
        start(command, lambda: self._read().status_code == 200)

    def _read(self) -> httpx.Response:
        try:
            return httpx.get(self._page, trust_env=False)
        except httpx.TransportError as exc:
            raise OSError from exc

    def figures(self, wanted: str) -> dict[str, dict[str, float]]:
        """What Prometheus would read, once ``wanted`` is there: for each name the values by their labels."""
        for _ in range(100):
            found: dict[str, dict[str, float]] = {}
            for name, labels, value in LINE.findall(self._read().text):
                found.setdefault(name, {})[labels] = float(value)
            if wanted in found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{wanted} never came: {sorted(found)}")

    @property
    def settings(self) -> dict[str, str]:
        """What makes an Airflow tell it, as environment variables."""
        return settings_for(self.port, tags=self._tags)
