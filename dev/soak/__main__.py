"""Run the soak: ``python -m dev.soak``. What it does and what came of it: docs/soak.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import shutil
import signal
import sys
import tempfile
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
from rich.console import Console
from rich.markup import escape

from dev.airflow.processes import DemoError
from dev.soak.airflow_part import AirflowPart
from dev.soak.apart import Apart
from dev.soak.calendar import LANES, MONTHS, year
from dev.soak.calendar_part import CalendarPart
from dev.soak.combinations import COMBINATIONS, PAIR_COMBINATIONS, PAIR_YEARS, retry_span
from dev.soak.core_part import CorePart
from dev.soak.pair_calendar import PairCalendarPart, pair_year
from dev.soak.pair_part import PairPart
from dev.soak.report import renew, table
from dev.soak.world import SoakWorld
from featurebase_provider.cli.example_dags import DAG_FILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dev.soak.calendar_findings import CalendarFigures
    from dev.soak.combinations import Combination
    from dev.soak.findings import Figures
    from dev.soak.pair_calendar_findings import PairCalendarFigures
    from dev.soak.pair_findings import PairFigures
    from dev.soak.report import Part


class Soak:
    """All parts, within one time limit.

    :param folder: for logs, secret files and Airflow's home.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._began = time.monotonic()
        self._until = self._began + options.limit
        self._enough = self._began + BEGIN_UNTIL * options.limit
        self._console = Console(highlight=False, width=130)
        self._worlds: list[SoakWorld] = []

    def run(self) -> int:
        """Soak and report.

        :returns: exit status: 1 where something is not as it must be.
        """
        options = self._options
        self.say(f"seed {options.seed}; working in {self._folder}")
        results: dict[str, Part] = {}
        broken = []
        try:
            for title, asked, part in (
                ("core", options.rotations, self._core),
                ("calendar", options.months, self._calendar),
                ("pair", options.pair_rotations, self._pair),
                ("pair calendar", options.pair_months, self._pair_calendar),
                ("airflow", options.airflow_rotations, self._airflow),
            ):
                if asked:
                    results[title] = part()
        except (DemoError, httpx.HTTPError) as exc:
            broken.append(f"the soak did not end: {exc or type(exc).__name__}")
        finally:
            self._stop()
            self._write(results)
        figures = [one for part in results.values() for one in part]
        broken += [f"{one.combination}: {problem}" for one in figures for problem in one.broken]
        for title, part in results.items():
            self._console.print(table(f"{TITLES[title]} (seed {options.seed})", part))
        for problem in broken:
            self.say(f"[red]Not as it must be:[/red] {escape(problem)}")
        for one in figures:
            for text in one.explained:
                self._console.print(escape(f"explained: {one.combination}: {text}"), soft_wrap=True)
        made = f"Seed {options.seed}, {datetime.now(tz=timezone.utc):%Y-%m-%d}."
        for title, part in results.items() if options.page is not None else ():
            renew(options.page, title, TITLES[title], part, made=made)
        self.say(f"wrote {options.output}; {'something is broken' if broken else 'nothing is broken'}")
        return 1 if broken else 0

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        self._console.print(f"[bold]{time.monotonic() - self._began:5.0f} s[/bold]  {text}", soft_wrap=True)

    def _core(self) -> list[Figures]:
        options = self._options
        self.say(
            f"core: {options.rotations} rotations of {options.webhooks} webhooks in each of {len(COMBINATIONS)} "
            f"combinations, {options.at_once} at once, {options.events:g} events a second in each; an event's retries "
            f"are over after {retry_span(options.speed):.1f} s"
        )
        figures = []
        for first in range(0, len(COMBINATIONS), options.at_once):
            figures += self._core_of(COMBINATIONS[first : first + options.at_once])
        return figures

    def _core_of(self, combinations: Sequence[Combination]) -> list[Figures]:
        options = self._options
        worlds = self._make_worlds("core", combinations, options.webhooks)
        part = CorePart(
            rotations=options.rotations, speed=options.speed, seed=options.seed, events_per_second=options.events
        )
        apart = Apart(part, title="core", steps=options.rotations, until=self._until, say=self.say)
        figures = apart.run(worlds)
        self._stop()
        return figures

    def _calendar(self) -> list[CalendarFigures]:
        months = self._options.months
        worlds = self._make_worlds("calendar", COMBINATIONS, len(LANES), moves_clock=True)
        happenings = len(year(datetime.now(tz=timezone.utc), months=months))
        self.say(f"calendar: {months:g} months, {happenings} happenings in each combination")
        figures = Apart(CalendarPart(months), title="calendar", steps=happenings, until=self._until, say=self.say).run(
            worlds
        )
        self._stop()
        return figures

    def _pair_calendar(self) -> list[PairCalendarFigures]:
        months = self._options.pair_months
        worlds = self._make_worlds("pair-calendar", PAIR_YEARS, len(LANES), pairs=True, moves_clock=True)
        happenings = len(pair_year(datetime.now(tz=timezone.utc), months))
        self.say(f"pair calendar: {months:g} months, {happenings} happenings in each combination")
        part = PairCalendarPart(months, self._enough)
        figures = Apart(part, title="pair-calendar", steps=happenings, until=self._until, say=self.say).run(worlds)
        self._stop()
        return figures

    def _pair(self) -> list[PairFigures]:
        options = self._options
        self.say(f"pair: {options.pair_rotations} rotations of {options.pairs} pairs in each of 4 combinations")
        figures = []
        for first in range(0, len(PAIR_COMBINATIONS), options.at_once):
            some = PAIR_COMBINATIONS[first : first + options.at_once]
            worlds = self._make_worlds("pair", some, options.pairs, pairs=True)
            part = PairPart(options.pair_rotations, options.speed, options.seed, options.events, self._enough)
            steps = options.pair_rotations
            figures += Apart(part, title="pair", steps=steps, until=self._until, say=self.say).run(worlds)
            self._stop()
        return figures

    def _airflow(self) -> list[Figures]:
        options = self._options
        worlds = self._make_worlds("airflow", COMBINATIONS, 1)
        self.say(f"Airflow: {options.airflow_rotations} rotations, {options.events:g} events a second for each webhook")
        part = AirflowPart(
            self._folder,
            worlds,
            dags=DAG_FILES,
            rotations=options.airflow_rotations,
            speed=options.speed,
            seed=options.seed,
            until=self._until,
            say=self.say,
        )
        return part.run(events_per_second=options.events)

    def _make_worlds(
        self,
        part: str,
        combinations: Sequence[Combination],
        webhooks: int,
        *,
        pairs: bool = False,
        moves_clock: bool = False,
    ) -> list[SoakWorld]:
        seed, speed = self._options.seed, 1.0 if moves_clock else self._options.speed
        for combination in combinations:
            folder = self._folder / part / combination.name
            world = SoakWorld(folder, combination, webhooks=webhooks, seed=seed, pairs=pairs, moves_clock=moves_clock)
            self._worlds.append(world)
        for world in self._worlds:
            world.start()
        for world in self._worlds:
            world.settle(speed=speed)
        return list(self._worlds)

    def _stop(self) -> None:
        for world in self._worlds:
            world.stop()
        self._worlds.clear()

    def _write(self, results: dict[str, Part]) -> None:
        options = self._options
        asked = {name: getattr(options, name) for name in ASKED}
        facts: dict[str, Any] = {
            "at": datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
            "on": {
                "python": platform.python_version(),
                "airflow": version("apache-airflow"),
                "provider": version("airflow-provider-featurebase"),
                "cpus": os.cpu_count(),
                "machine": platform.machine(),
            },
            "asked": asked,
            "took_seconds": round(time.monotonic() - self._began),
            **{title: [one.as_json() for one in part] for title, part in results.items()},
        }
        options.output.write_text(json.dumps(facts, indent=2) + "\n")


TITLES = {
    "core": "Without Airflow's daemons",
    "calendar": "A year in the calendar",
    "airflow": "In a real Airflow",
    "pair": "Pairs, without Airflow's daemons",
    "pair calendar": "A year in the calendar with pairs",
}
BEGIN_UNTIL = 0.65
"""The share of the time limit after which nothing more is begun with pairs: a slow machine does less."""
ASKED = (
    "seed", "rotations", "webhooks", "events", "speed", "at_once", "months", "airflow_rotations", "pairs",
    "pair_rotations", "pair_months", "limit",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Soak in a folder of its own, which stays where something went wrong."""
    options = _options(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="featurebase-soak."))
    status = 1
    try:
        status = Soak(options, folder).run()
    except KeyboardInterrupt:
        return 130
    finally:
        if status == 0:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"logs: {folder}", file=sys.stderr)
    return status


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dev.soak", description="Rotate often, under faults, while events flow."
    )
    parser.add_argument("--seed", type=int, default=None, help="of all that is random (a new one each time)")
    parser.add_argument("--rotations", type=int, default=50, help="in each of the four combinations (%(default)s)")
    parser.add_argument("--at-once", type=int, default=2, help="combinations that are soaked at once (%(default)s)")
    parser.add_argument("--webhooks", type=int, default=10, choices=range(1, 11), metavar="N", help="(%(default)s)")
    parser.add_argument("--events", type=float, default=20.0, help="a second, in each combination (%(default)s)")
    parser.add_argument("--speed", type=float, default=2400.0, help="of the sandbox's retries (%(default)s)")
    parser.add_argument("--months", type=float, default=float(MONTHS), help="of the calendar (%(default)s)")
    parser.add_argument("--pairs", type=int, default=4, choices=range(1, 6), metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--pair-rotations", type=int, default=8, help="in each of the pairs' four combinations (%(default)s)"
    )
    parser.add_argument("--pair-months", type=float, default=float(MONTHS), help="likewise, of pairs (%(default)s)")
    parser.add_argument("--airflow-rotations", type=int, default=20, help="in all, in a real Airflow (%(default)s)")
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds after which to give up (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("soak.json"), help="where figures go (%(default)s)")
    parser.add_argument("--page", type=Path, default=None, help="a Markdown page whose figures are written anew")
    options = parser.parse_args(argv)
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
