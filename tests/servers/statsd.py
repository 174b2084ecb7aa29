"""A StatsD that keeps the figures of ours that it was told."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

OURS = "airflow.featurebase."


@dataclass(frozen=True)
class Figure:
    """One figure as it arrived.

    :param name: without ``airflow.featurebase.`` and without tags.
    :param kind: ``c`` (counter), ``g`` (gauge) or ``ms`` (timing).
    :param tags: in InfluxDB's form, which follows the name; empty if Airflow dropped them.
    """

    name: str
    value: float
    kind: str
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, line: str) -> Figure:
        """Read a line such as ``airflow.featurebase.rotate,webhook=production:1|c``."""
        name, _, rest = line.partition(":")
        value, kind, *_ = rest.split("|")
        name, *tags = name.split(",")
        return cls(name.removeprefix(OURS), float(value), kind, dict(tag.split("=", 1) for tag in tags))


class StatsD:
    """A context manager; listens on a free UDP port of the loopback interface.

    :param tags: whether Airflow sends tags, in InfluxDB's form. By default it drops them.
    """

    def __init__(self, *, tags: bool = False) -> None:
        self._tags = tags
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.figures: list[Figure] = []
        """In the order in which they arrived."""
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def catch_up(self) -> None:
        """Wait until all that was sent before has arrived: packets of one socket stay in order."""
        mark = f"{OURS}caught_up:{len(self.figures)}|c"
        self._socket.sendto(mark.encode(), self._socket.getsockname())
        while not self.figures or self.figures[-1].name != "caught_up":
            time.sleep(0.01)
        self.figures.pop()

    def _listen(self) -> None:
        while packet := self._socket.recv(65_535):
            lines = packet.decode().splitlines()
            self.figures += [Figure.read(line) for line in lines if line.startswith(OURS)]

    @property
    def names(self) -> set[str]:
        """Names of the figures that arrived."""
        return {figure.name for figure in self.figures}

    @property
    def settings(self) -> dict[str, str]:
        """What makes an Airflow tell it, as environment variables."""
        return settings_for(self.port, tags=self._tags)


def settings_for(port: int, *, tags: bool) -> dict[str, str]:
    """What makes an Airflow tell a StatsD on this UDP port, as environment variables."""
    return {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(port),
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": str(tags),
    }
