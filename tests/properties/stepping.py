"""Task tries that stop at each call to the world, so that a test decides who goes next and who dies."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STEPS = 5000
"""Calls after which a try counts as running forever."""


class Died(BaseException):
    """The process is gone: nothing of it runs any more, no cleanup that has an effect either."""


class Try:
    """One try of a task, run by steps; from each call to the world to the next.

    :param name: for a failing example's listing.
    :param run: does the task's work; an error of it is kept, anything unexpected is raised in the test.
    :param expected: the errors with which a task may end.
    """

    def __init__(self, name: str, run: Callable[[], Any], *, expected: type[Exception]) -> None:
        self.name = name
        self.result: Any = None
        self.error: Exception | None = None
        self.died = False
        self._run, self._expected = run, expected
        self._greenlet = _Owned(self._work)
        self._greenlet.owner = self

    def __repr__(self) -> str:
        return f"<{self.name}: {'alive' if self.alive else 'died' if self.died else self.error or 'done'}>"

    @property
    def alive(self) -> bool:
        return not self._greenlet.dead

    @property
    def succeeded(self) -> bool:
        return not self.alive and not self.died and self.error is None

    def advance(self, steps: int) -> None:
        """Let it make so many calls at most."""
        for _ in range(steps):
            if not self.alive:
                return
            self._greenlet.switch()

    def finish(self) -> None:
        self.advance(MOST_STEPS)
        assert not self.alive, f"{self.name} does not end"

    def kill(self) -> None:
        self.died = True
        with contextlib.suppress(Died):  # one that never began raises it here
            self._greenlet.throw(Died)

    def _work(self) -> None:
        try:
            self.result = self._run()
        except self._expected as exc:
            self.error = exc
        except Died:
            pass


class _Owned(greenlet):
    owner: Try


def current_try() -> Try | None:
    """The try that makes the present call; None for the rest of the world."""
    running = getcurrent()
    return running.owner if isinstance(running, _Owned) else None


def stop_here() -> None:
    """Wait, in a try, until the test lets it go on."""
    running = getcurrent()
    if not isinstance(running, _Owned):
        return
    if running.owner.died:
        raise Died
    running.parent.switch()
