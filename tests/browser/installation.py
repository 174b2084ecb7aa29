"""What an installation that has run for a year looks like: its rotation file, its newest audit and its reports."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

from featurebase_provider.audit.findings import Finding
from featurebase_provider.audit.report import AuditReport
from featurebase_provider.audit.row import AgeLimit, AuditedHalf, AuditedWebhook, Deliveries
from featurebase_provider.rotation.advice import NO_WAY_BACK, NOTHING_TO_DO
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.check import HeldByStore
from featurebase_provider.rotation.past import PastRun

HOST = "https://do.featurebase.app"
NAMES = ("production", "billing", "mobile-app", "search-index", "data-warehouse", "crm-sync", "status-page")
REASONS = ("quarterly rotation", "", "key holder left the team", "", "before the audit")
OVERDUE_DAYS = 97
"""How old the secret of the webhook is that nobody has rotated in time."""


def webhook_id(number: int) -> str:
    return f"{0x507F1F77BCF86CD799439000 + number:024x}"


def name_of(number: int) -> str:
    return NAMES[number] if number < len(NAMES) else f"customer-{number:03d}"


def rotation_file(webhooks: int) -> str:
    """A rotation file, as JSON (which is YAML): ten webhooks a connection, the second of them a pair."""
    entries = []
    for number in range(webhooks):
        store = {"type": "airflow_variable", "name": f"signing_{name_of(number)}"}
        entry: dict[str, Any] = {
            "name": name_of(number),
            "featurebase_conn_id": f"featurebase_{number // 10}",
            "webhook_id": webhook_id(number),
            "stores": [store],
        }
        if number == 1:
            del entry["webhook_id"]
            entry |= {"strategy": "overlap", "webhook_ids": [webhook_id(900), webhook_id(901)]}
            entry |= {"probe": {"timeout": "PT10M"}}
            store |= {"format": "json", "key": "secret", "previous_key": "previous"}
        entries.append(entry)
    return json.dumps({"audit": {"schedule": "0 5 * * *"}, "webhooks": entries})


def runs_of(number: int, now: datetime, each: int) -> list[PastRun]:
    """Runs a month apart, the newest last."""
    runs = []
    for back in reversed(range(each)):
        last, every = (OVERDUE_DAYS, 29) if number == 3 else (number % 29 + 1, 31)
        at = now - timedelta(days=every * back + last, minutes=37 * number)
        failed = (number * 7 + back * 5) % 23 == 0
        pair, by_hand = number == 1, (number + back) % 5 == 0
        runs.append(
            PastRun(
                at.isoformat(timespec="seconds"),
                "failed" if failed else "rotated",
                f"featurebase_rotate__{name_of(number)}",
                f"scheduled__{at.isoformat(timespec='seconds')}",
                "report",
                mode="rotate",
                by="ann" if by_hand else "scheduled",
                reason=REASONS[(number + back) // 5 % len(REASONS)] if by_hand else "",
                exposure_ms=None if pair else round(9.0 + (number * 37 + back * 91) % 180 * (12 if failed else 1), 1),
                receiver_exposure_ms=None if number % 3 else round(40.0 + (number * 53 + back * 17) % 900, 1),
                refused=0 if pair else None,
            )
        )
    return runs


def a_row(number: int, now: datetime, runs: list[PastRun]) -> AuditedWebhook:
    """A webhook of the installation; the first seven have stories of their own."""
    fingerprint = f"sha256:{sha256(str(number).encode()).hexdigest()[:16]}"
    holding, status, failures = "matches", "active", 0
    age = timedelta(days=number % 29 + 1)
    if number == 2:
        holding = "differs"
    if number == 3:
        age = timedelta(days=OVERDUE_DAYS)
    if number == 4:
        status, failures = "suspended", 50
    stores = [
        HeldByStore(
            "vault", f"vault://vault_default/secret/apps/{name_of(number)}#WEBHOOK_SECRET", "matches", fingerprint
        ),
        HeldByStore("variable", f"airflow-variable://signing_{name_of(number)}", holding, fingerprint),  # type: ignore[arg-type]
    ]
    seen = (now - timedelta(minutes=30 + number)).isoformat(timespec="seconds")
    deliveries = Deliveries(failures, seen if not failures else None, 502 if failures else 200, seen)
    halves = ()
    own = webhook_id(number)
    if number == 1:
        own = webhook_id(900)
        halves = (
            AuditedHalf(own, "active", fingerprint, deliveries),
            AuditedHalf(webhook_id(901), "paused", "sha256:9c4b1f2e7a60d853", Deliveries(0, None, 200, seen)),
        )
    return AuditedWebhook(
        name_of(number),
        f"featurebase_{number // 10}",
        own,
        status,
        fingerprint,
        f"{age.days} d",
        tuple(stores),
        halves,
        f"featurebase_rotate__{name_of(number)}",
        f"https://acme.example/webhooks/{own}",
        AgeLimit(age.total_seconds(), age.total_seconds(), 90 * 86400.0),
        deliveries,
        tuple(runs),
    )


def findings(webhooks: int) -> tuple[Finding, ...]:
    """One of each story, as far as there are so many webhooks."""

    def about(number: int, kind: str, detail: str, **facts: Any) -> Finding:
        own = {"webhook": name_of(number), "conn_id": f"featurebase_{number // 10}", "webhook_id": webhook_id(number)}
        return Finding(kind, detail, **own, dag_id=f"featurebase_rotate__{name_of(number)}", **facts)

    found = [
        about(
            2,
            "store_differs",
            "airflow-variable://signing_mobile-app holds sha256:bfb053855b98f526, Featurebase sha256:3c6ef372fe94bbaf",
            store="variable",
            heals=True,
        ),
        about(3, "secret_overdue", f"the secret is {OVERDUE_DAYS} d old, max_age is 90 d"),
        about(
            4, "webhook_inactive", "it is 'suspended', 50 deliveries in a row failed (last result: 502 'Bad Gateway')"
        ),
        Finding(
            "webhook_unconfigured",
            "webhook 507f1f77bcf86cd7994390ff ('Warehouse connector', active) has no entry in the rotation file, so "
            "its secret is not rotated",
            conn_id="featurebase_0",
            webhook_id="507f1f77bcf86cd7994390ff",
            ignored=True,
        ),
    ]
    return tuple(found[: max(webhooks - 2, 0)])


def an_installation(webhooks: int, *, reports: int, now: datetime | None = None) -> dict[str, Any]:
    """The newest audit's result, and the rotation reports behind it, JSON-ready.

    :param reports: how many reports all webhooks have together.
    """
    now = now or datetime.now(tz=timezone.utc)
    each = reports // max(webhooks, 1)
    runs = {number: runs_of(number, now, each) for number in range(webhooks)}
    audit = AuditReport(
        at=(now - timedelta(minutes=26)).isoformat(timespec="seconds"),
        connections={f"featurebase_{number // 10}": HOST for number in range(webhooks)},
        webhooks=tuple(a_row(number, now, runs[number]) for number in range(webhooks)),
        findings=findings(webhooks),
        seconds=3.2,
    )
    return {"audit": audit.as_json(), "reports": [a_report(run) for every in runs.values() for run in every]}


def a_report(run: PastRun) -> dict[str, Any]:
    """The report of a run, as its task leaves it."""
    name = run.dag_id.partition("__")[2]
    before, after = (f"sha256:{sha256((run.at + text).encode()).hexdigest()[:16]}" for text in ("before", "after"))
    done = run.outcome == "rotated"
    stores = [
        StoreOutcome("vault", f"vault://vault_default/secret/apps/{name}#WEBHOOK_SECRET", "written", after, 18.4),
        StoreOutcome("variable", f"airflow-variable://signing_{name}", "written", after, run.exposure_ms, 200.0),
    ]
    if not done:
        stores[1] = StoreOutcome("variable", stores[1].target, "failed", problem="the store did not answer within 10 s")
    return {
        **run.as_json(),
        "webhook": name,
        "webhook_id": webhook_id(0),
        "host": HOST,
        "advice": NOTHING_TO_DO if done else f"{NO_WAY_BACK} Fix the store, then clear its push task.",
        "cause": None if done else "push.variable: the store did not answer within 10 s",
        "before": before,
        "after": after,
        "refreshed_at": run.at,
        "refreshes": {"by_run": 1, "logged": [{"at": run.at, "by": "API key"}], "problem": None},
        "status": "active",
        "probe": {
            "result": "accepted",
            "detail": "31 events were accepted, and one with a wrong key refused (401)",
        },
        "delivery": {"kind": "healthy", "detail": "a delivery after the push succeeded (last result: 200 'OK')"},
        "stores": [asdict(store) for store in stores],
        "tasks": [],
        "notes": [],
        "version": 1,
    }
