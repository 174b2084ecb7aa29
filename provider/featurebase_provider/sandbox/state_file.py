"""The sandbox's webhooks in a file, so that they outlive its process. What it keeps protects nothing outside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from featurebase_provider.sandbox.errors import SandboxUnusable
from featurebase_provider.sandbox.webhooks import Webhook

_WEBHOOKS = TypeAdapter(list[Webhook])


@dataclass(frozen=True, slots=True)
class StateFile:
    """A JSON file that is replaced as a whole.

    :param path: where; its folder must be there.
    """

    path: Path

    def load(self) -> list[Webhook]:
        """The webhooks that were kept; none where there is no file yet.

        :raises SandboxUnusable: the file can't be read, or holds something else.
        """
        try:
            return _WEBHOOKS.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable("can't be read", error) from error
        except ValidationError:
            # Its text would quote the file.
            raise SandboxUnusable(
                f"--state: {self.path} does not hold a sandbox's webhooks; name another file, or delete this one"
            ) from None

    def save(self, webhooks: list[Webhook]) -> None:
        """Put these webhooks in place of those before.

        :raises SandboxUnusable: the file can't be written; it is as it was.
        """
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(_WEBHOOKS.dump_json(webhooks))
            new.replace(self.path)
        except OSError as error:
            raise self._unusable("can't be written", error) from error

    def _unusable(self, what: str, error: OSError) -> SandboxUnusable:
        return SandboxUnusable(f"--state: {self.path} {what} ({error.strerror}); name another file, or mend this one")
