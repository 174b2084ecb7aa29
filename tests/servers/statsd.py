"""A StatsD that knows which figures of ours it was told."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

OURS = "airflow.featurebase."


class StatsD:
    """A context manager; listens on a free UDP port of the loopback interface."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.names: set[str] = set()
        """Names of figures, without ``airflow.featurebase.``."""
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while packet := self._socket.recv(65_535):
            names = (line.partition(":")[0] for line in packet.decode().splitlines())
            self.names |= {name.removeprefix(OURS) for name in names if name.startswith(OURS)}

    @property
    def settings(self) -> dict[str, str]:
        """What makes an Airflow tell it, as environment variables."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.port),
        }
