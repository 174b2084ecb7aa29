"""How often a Dag run refreshed the secret: what its own records tell, beside what Featurebase's audit log shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurebase_provider.rotation.refresh import How
    from featurebase_provider.rotation.refresh_log import LoggedRefresh, RefreshesSincePlan

MOST_NAMED = 10
"""How many refreshes of the log a message names at most."""


def refreshes_by(how: How, *, recorded: int, later_try: bool) -> int | None:
    """How many refreshes the Dag run knows it caused once its rotate task has succeeded; None if it can't tell.

    :param how: how this try obtained the secret.
    :param recorded: refreshes that earlier tries recorded.
    :param later_try: whether there was an earlier try, which may have refreshed and died before it recorded that.
    """
    if how in ("answered", "found_after_lost_answer"):
        return recorded + 1
    return recorded or (None if later_try and how == "already_done" else 0)


@dataclass(frozen=True, slots=True)
class RefreshCount:
    """The refreshes of one webhook in the course of a Dag run.

    :param by_run: how many the run knows it caused; None if it can't tell.
    :param logged: those since the run's plan that Featurebase's audit log shows, newest first, whoever made them; None
        if the log was not read, or could not be.
    :param problem: why it could not be read; None if it was not asked, or was read.
    """

    by_run: int | None = 0
    logged: tuple[LoggedRefresh, ...] | None = None
    problem: str | None = None

    def with_log(self, log: RefreshesSincePlan) -> RefreshCount:
        """The same count, with what the log shows. A log of which only a part could be read gives no count."""
        return RefreshCount(self.by_run, log.refreshes if log.problem is None else None, log.problem)

    @property
    def summary(self) -> str | None:
        """Both counts in words; None for a run that could not refresh."""
        if self.by_run == 0 and self.logged is None and self.problem is None:
            return None
        own = "this run can't tell whether it refreshed" if self.by_run is None else f"{self.by_run} by this run"
        if self.problem is not None:
            return f"{own}; unknown to Featurebase's audit log, which can't be read: {self.problem}"
        return own if self.logged is None else f"{own}; {len(self.logged)} in Featurebase's audit log since its plan"

    @property
    def difference(self) -> str | None:
        """Where the two counts differ, in words; None if they agree, or if the log can't be read."""
        if self.logged is None or len(self.logged) == (self.by_run or 0):
            return None
        log = f"Featurebase's audit log shows {_counted(len(self.logged))} of the secret since the run's plan"
        if len(self.logged) < (self.by_run or 0):
            return f"{log}, but this run knows of {self.by_run}. The log may lag, and nothing waits for it"
        shown = ", ".join(f"{refresh.at.isoformat()} by {refresh.by}" for refresh in self.logged[:MOST_NAMED])
        more = len(self.logged) - MOST_NAMED
        listed = shown if more <= 0 else f"{shown}, and {more} earlier"
        if self.by_run is None:
            return f"{log} ({listed}). This run can't tell whether that was its own doing"
        rest = "The rest was done by a person, by another Dag run, or by a try that Airflow lost track of"
        return f"{log} ({listed}), but this run knows of {self.by_run or 'none'}. {rest}"

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        shown = self.logged
        return {
            "by_run": self.by_run,
            "logged": None if shown is None else [{"at": one.at.isoformat(), "by": one.by} for one in shown],
            "problem": self.problem,
        }


def _counted(refreshes: int) -> str:
    return "1 refresh" if refreshes == 1 else f"{refreshes or 'no'} refreshes"
