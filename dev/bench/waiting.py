"""What 200 waiting tasks cost: Airflow's own triggerer runs them, against a sandbox process.

Beside our triggers the triggerer runs one that measures its event loop and its process. All tasks are deferred before
the triggerer starts, so all triggers begin in the same moment, as after a restart: that is the worst case for bursts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import Process, free_port, wait_for
from dev.bench.deferred import CONN_ID
from featurebase_provider.featurebase.signing_secret import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEY, VERSION = "sk_bench", "2026-01-01.nova"
WEBHOOKS = 10
"""A workspace has no more by default."""
MANY = 200
POLL_INTERVAL = 15.0
MOST_PER_MINUTE = 2000
"""Featurebase's documented limit of an API key, in requests a minute."""
SECONDS = 65.0
"""How long each case is measured, from the first read on."""
ROOT = Path(__file__).parents[2]
HEALTH, CUT_OVER, LAG = (
    "featurebase_provider.triggers.webhook_delivery_health.WebhookDeliveryHealthTrigger",
    "featurebase_provider.triggers.cut_over.CutOverTrigger",
    "dev.bench.loop_lag.LoopLagTrigger",
)


@dataclass(frozen=True)
class Case:
    """Triggers of one kind.

    :param fails: whether Featurebase answers 503.
    """

    name: str
    triggers: int
    kind: str = HEALTH
    fails: bool = False


CASES = (
    Case("1 sensor", 1),
    Case(f"{MANY} sensors", MANY),
    Case(f"{MANY} sensors, Featurebase answers 503", MANY, fails=True),
    Case(f"{MANY} cut-overs of pairs", MANY, CUT_OVER),
)


class OnlyTriggerer(LocalAirflow):
    """An Airflow of which nothing but the triggerer runs."""

    components = ("triggerer",)


def measure() -> list[dict[str, Any]]:
    """A row for each case.

    :raises DemoError: Airflow or the sandbox did not start.
    """
    rows: list[dict[str, Any]] = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            samples, calls = _run(case, Path(folder))
        rows.append(_row(case, samples, calls, rows[0] if rows else None))
    return rows


def missed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The cases that ask Featurebase more often than it allows."""
    return [f"{row['name']}: {row['most_a_minute']} requests in a minute" for row in rows if not row["met"]]


def _run(case: Case, folder: Path) -> tuple[list[dict[str, Any]], list[float]]:
    """The lines of the measuring trigger, and when each request came (Unix seconds)."""
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    airflow = OnlyTriggerer(folder / "airflow", dags=folder / "dags", settings={"PYTHONPATH": path})
    airflow.migrate()
    lags = folder / "lags.jsonl"
    with _sandbox(folder) as api:
        begun = time.time()
        connection = {"conn_type": "featurebase", "host": str(api.base_url), "password": KEY}
        triggers = [(LAG, {"path": str(lags)}), *_triggers(case, api)]
        _fill(airflow, {"connection": connection, "triggers": triggers})
        if case.fails:
            fault = {"kind": "status", "status": 503, "method": "GET", "count": 1_000_000}
            api.post("/_sandbox/faults", json=fault).raise_for_status()
        airflow.start_component("triggerer")
        try:
            watched = list(airflow.processes.values())
            wait_for("the first read", lambda: bool(_calls(api, begun)), seconds=120, watched=watched)
            time.sleep(SECONDS)
            samples = [json.loads(line) for line in lags.read_text().splitlines()]
            return samples, _calls(api, begun)
        finally:
            airflow.kill()


@contextmanager
def _sandbox(folder: Path) -> Iterator[httpx.Client]:
    port = free_port()
    command = [sys.executable, "-m", "featurebase_provider.sandbox.cli"]
    command += ["serve", "--port", str(port), "--api-key", KEY]
    headers = {"Authorization": f"Bearer {KEY}", "Featurebase-Version": VERSION}
    process = Process("the sandbox", command, log=folder / "sandbox.log", env=os.environ).start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as api:
            wait_for("the sandbox", lambda: _answers(api), seconds=60, watched=[process])
            yield api
    finally:
        process.stop()


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/_sandbox/clock").status_code == 200
    except httpx.HTTPError:
        return False


def _calls(api: httpx.Client, since: float) -> list[float]:
    calls = api.get("/_sandbox/requests").raise_for_status().json()
    return [call["at"] / 1000 for call in calls if call["method"] == "GET" and call["at"] / 1000 >= since]


def _triggers(case: Case, api: httpx.Client) -> list[tuple[str, dict[str, Any]]]:
    webhooks = [
        api.post("/v2/webhooks", json={"name": f"W{n}", "url": "https://example.com/h", "topics": ["post.created"]})
        for n in range(WEBHOOKS)
    ]
    made = [answer.raise_for_status().json() for answer in webhooks]
    now = datetime.now(tz=timezone.utc)
    if case.kind == HEALTH:
        shared = {"counts_from": now.isoformat(), "deadline": (now + timedelta(hours=1)).timestamp()}
        arguments = [{"webhook_id": made[n % WEBHOOKS]["id"], **shared} for n in range(case.triggers)]
    else:
        pairs = list(zip(made[::2], made[1::2], strict=True))
        cuts = [_cut_over(*pairs[n % len(pairs)], now) for n in range(case.triggers)]
        arguments = [{"cut_over": cut} for cut in cuts]
    given = {"featurebase_conn_id": CONN_ID, "poll_interval": POLL_INTERVAL}
    return [(case.kind, {**one, **given}) for one in arguments]


def _cut_over(old: dict[str, Any], new: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "old": old["id"],
        "new": new["id"],
        "old_holds": fingerprint_of(old["secret"]),
        "new_holds": fingerprint_of(new["secret"]),
        "planned_at": now.isoformat(),
        "activated_at": now.isoformat(),
        "first_delivery": 3600.0,
        "pending": 3600.0,
    }


def _fill(airflow: LocalAirflow, job: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "dev.bench.deferred"]
    subprocess.run(command, input=json.dumps(job), text=True, env=airflow.env, check=True, capture_output=True)


def _row(
    case: Case, samples: Sequence[dict[str, Any]], calls: Sequence[float], one: dict[str, Any] | None
) -> dict[str, Any]:
    first = min(calls)
    steady = [sample for sample in samples if sample["at"] >= first]
    lags = sorted(lag for sample in samples for lag in sample["lags_ms"])
    rss = statistics.median(sample["rss"] for sample in steady[-10:]) / 1024
    busy = (steady[-1]["cpu"] - steady[0]["cpu"]) / (steady[-1]["at"] - steady[0]["at"])
    most = max(sum(1 for call in calls if begin <= call < begin + 60) for begin in calls)
    return {
        "name": case.name,
        "seconds": round(SECONDS),
        "rss_mib": round(rss / 1024, 1),
        "kib_per_trigger": "" if one is None else round((rss - one["rss_mib"] * 1024) / (case.triggers - 1), 1),
        "cpu_percent": round(busy * 100, 1),
        "most_a_second": max(Counter(int(call) for call in calls).values()),
        "most_a_minute": most,
        "goal": f"at most {MOST_PER_MINUTE} a minute",
        "met": most <= MOST_PER_MINUTE,
        "lag_p50_ms": round(_quantile(lags, 0.5), 1),
        "lag_p99_ms": round(_quantile(lags, 0.99), 1),
        "lag_max_ms": round(lags[-1], 1),
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
