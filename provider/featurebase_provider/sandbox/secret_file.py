"""The file from which the sample receiver reads its signing secrets, as an application would."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.sandbox.errors import SandboxUnusable

logger = logging.getLogger(__name__)


class SecretFile:
    """A file with the current signing secret and perhaps the previous one, read again when it changes.

    :param path: the file: just the secret or, with ``key``, a JSON object or a dotenv file.
    :param key: name of the current secret in the file.
    :param previous_key: name of the previous secret in the file, if the receiver accepts that too.
    :param reload_seconds: how long a read counts before the file is checked again. 0 checks its metadata each time.
        Infinity reads it when this object is made, and never again.
    :param monotonic: a monotonic clock, in seconds.
    :raises SandboxUnusable: ``previous_key`` without ``key``, a negative time, or no secret in the only read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: str | None = None,
        previous_key: str | None = None,
        reload_seconds: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if previous_key is not None and key is None:
            raise SandboxUnusable("a previous key requires a key: a file without keys holds only one secret")
        if not reload_seconds >= 0:
            raise SandboxUnusable("reload seconds cannot be negative")
        self.path = Path(path)
        self._keys = [name for name in (key, previous_key) if name is not None]
        self._reload_seconds, self._monotonic = reload_seconds, monotonic
        self._looked_at: float | None = None
        self._seen: tuple[int, ...] | None = None
        self._problem: str | None = None
        self._secrets: list[SigningSecret] = []
        if math.isinf(reload_seconds) and not self.secrets():
            raise SandboxUnusable(f"{self.path}: {self._problem}, and it is read only at the start; write it first")

    @property
    def problem(self) -> str | None:
        """Why there was no secret at the last read; None if there was one."""
        return self._problem

    def secrets(self) -> list[SigningSecret]:
        """The accepted secrets, the current one first; empty if the file can't be read or holds none."""
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at >= self._reload_seconds:
            self._looked_at = now
            self._look()
        return self._secrets

    def _look(self) -> None:
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_dev, status.st_size)
            if seen == self._seen:
                return
            text = self.path.read_text(encoding="utf-8")
        except OSError as error:
            self._take(None, [], f"the secret file cannot be read ({error.strerror})")
            return
        except UnicodeDecodeError:
            self._take(None, [], "the secret file is not UTF-8 text")
            return
        try:
            values = self._values(text)
        except ValueError:
            self._take(seen, [], "the secret file is not valid JSON")
            return
        secrets = [SigningSecret(value) for value in values if value]
        # The previous secret alone is not enough: the current one must be there.
        found = secrets if values[0] else []
        self._take(seen, found, None if found else "the secret file holds no secret")

    def _values(self, text: str) -> list[str | None]:
        if not self._keys:
            return [text.strip()]
        document: Mapping[str, Any]
        if text.lstrip().startswith("{"):
            loaded = json.loads(text)
            document = loaded if isinstance(loaded, dict) else {}
        else:
            document = dotenv_values(stream=io.StringIO(text), interpolate=False)
        values = [document.get(name) for name in self._keys]
        return [value if isinstance(value, str) else None for value in values]

    def _take(self, seen: tuple[int, ...] | None, secrets: list[SigningSecret], problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            logger.warning("%s: %s", self.path, problem)
        if secrets and secrets != self._secrets:
            logger.info("%s now holds %s", self.path, ", ".join(secret.fingerprint for secret in secrets))
        self._seen, self._secrets, self._problem = seen, secrets, problem
