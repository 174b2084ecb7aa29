"""Whole runs of the audit Dag: what it finds, that it writes nothing, and that healing ends in a clean audit."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from featurebase_provider.audit.report import AuditReport
from featurebase_provider.rotation.memory import WebhookMemory
from featurebase_provider.sandbox.server import SandboxServer
from tests.world.expectations import in_stores
from tests.world.fakes import DictMemory
from tests.world.featurebase import API_VERSION, KEY, TOPIC
from tests.world.in_process_airflow import Run

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

AUDIT = "featurebase_audit"
DAG_FILE = """\
# An Airflow Dag file with the Dags of one rotation file.
from featurebase_provider.dag_factory import audit_dag, rotation_dags

audit = audit_dag({path!r})
for dag in rotation_dags({path!r}):
    globals()[dag.dag_id] = dag
"""

ALONE = """\
# An Airflow Dag file with the audit alone.
from featurebase_provider.dag_factory import audit_dag

dag = audit_dag({path!r})
"""


def load(airflow: InProcessAirflow, folder: Path, entries: list[dict[str, Any]], **audit: Any) -> dict[str, DAG]:
    """The Dags of a rotation file with these entries."""
    path = folder / "rotation.yaml"
    path.write_text(yaml.safe_dump({"audit": audit, "webhooks": entries}))
    return airflow.load_file("everything", DAG_FILE.format(path=str(path)))


def kinds(run: Run) -> dict[str, list[str]]:
    """What the audit found: places by kind."""
    found: dict[str, list[str]] = {}
    for one in run.xcoms["audit"]["findings"]:
        place = one["webhook"] or one["webhook_id"] or one["conn_id"]
        found.setdefault(one["kind"], []).append(f"{place}/{one['store']}" if one["store"] else place)
    return found


def waiting(dag: DAG) -> list[Run]:
    """The Dag's runs that wait to begin."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.query(DagRun).filter_by(dag_id=dag.dag_id, state="queued").order_by(DagRun.id)
        return [Run(dag, row.run_id) for row in rows]


def is_paused(dag: DAG) -> bool:
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        return bool(session.get(DagModel, dag.dag_id).is_paused)


def date_back(airflow: InProcessAirflow, world: FeaturebaseWorld, webhook_id: str, by: timedelta) -> None:
    """Let all that is remembered of a webhook's secrets have happened that much earlier; Featurebase tells nobody."""
    world.control("POST", "/behaviour", audit_log="forbidden")
    name = f"{WebhookMemory(DictMemory(), world.url, webhook_id).prefix}history"
    record = json.loads(airflow.variables(name)[name])
    for one in record["secrets"]:
        moments = {key: text for key, text in one.items() if key.endswith(("_at", "_seen"))}
        one |= {key: (datetime.fromisoformat(text) - by).isoformat() for key, text in moments.items()}
    airflow.set_variable(name, json.dumps(record))


def test_drift_is_found_healed_and_gone(airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path) -> None:
    """Somebody rotates by hand; the audit writes nothing itself, and the run that it triggers mends both stores."""
    dags = load(airflow, tmp_path, [world.entry(probe=None)], heal=True)
    rotation = dags[f"featurebase_rotate__{world.name}"]
    airflow.start(rotation)
    clean = airflow.start(dags[AUDIT])
    assert (clean.state, kinds(clean)) == ("success", {}), clean.errors
    assert (clean.states["drifted"], clean.states["heal"]) == ("skipped", "skipped")
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    before = in_stores(airflow, world)

    drifted = airflow.start(dags[AUDIT])

    assert drifted.state == "failed"
    assert drifted.states == {"audit": "success", "drifted": "success", "heal[0]": "success", "findings": "failed"}
    places = [f"{world.name}/airflow_variable", f"{world.name}/object_storage"]
    assert kinds(drifted) == {"store_differs": places}
    for words in ("2 findings", "store_differs", world.name, "mode=distribute"):
        assert words in drifted.error("findings")
    assert in_stores(airflow, world) == before
    (run,) = waiting(rotation)
    again = airflow.start(dags[AUDIT])
    assert (again.states["drifted"], len(waiting(rotation))) == ("skipped", 1)  # one that waits is enough

    airflow.go_on(run)

    assert (run.state, run.report["outcome"], world.refreshes()) == ("success", "distributed", 2), run.errors
    assert run.report["reason"] == "Audit: store_differs (airflow_variable), store_differs (object_storage)"
    clean = airflow.start(dags[AUDIT])
    assert (clean.state, kinds(clean)) == ("success", {}), clean.errors


def test_previous_secret_ends_when_its_time_is_over(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """The audit notices it, and the run that it triggers drops it from the store."""
    store = world.file_store(previous_key=f"{KEY}_PREVIOUS")
    dags = load(airflow, tmp_path, [world.entry(stores=[store], probe=None)], heal=True)
    rotation = dags[f"featurebase_rotate__{world.name}"]
    first = world.secret
    airflow.start(rotation)
    assert f"{KEY}_PREVIOUS={first}" in world.secret_file.read_text()
    assert airflow.start(dags[AUDIT]).state == "success"
    date_back(airflow, world, world.webhook_id, timedelta(hours=9))

    overdue = airflow.start(dags[AUDIT])

    assert kinds(overdue) == {"previous_overdue": [f"{world.name}/object_storage"]}
    assert "9 h" in overdue.xcoms["audit"]["findings"][0]["detail"]
    (run,) = waiting(rotation)
    airflow.go_on(run)
    assert run.state == "success", run.errors
    assert first not in world.secret_file.read_text()
    assert world.secret in world.secret_file.read_text()
    clean = airflow.start(dags[AUDIT])
    assert (clean.state, kinds(clean)) == ("success", {}), clean.errors


def test_heal_is_asked_for(airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path) -> None:
    """Off by default; whoever triggers the audit by hand can switch it on. A paused Dag's run waits."""
    dags = load(airflow, tmp_path, [world.entry()])
    rotation = dags[f"featurebase_rotate__{world.name}"]
    left_alone = airflow.start(dags[AUDIT])
    assert kinds(left_alone) == {"store_absent": [f"{world.name}/airflow_variable"]}
    assert (left_alone.states["drifted"], left_alone.states["heal"], waiting(rotation)) == ("skipped", "skipped", [])
    asked = airflow.start(dags[AUDIT], {"heal": True})
    assert len(waiting(rotation)) == 1
    assert is_paused(rotation)
    assert asked.xcoms["drifted"][0]["trigger_dag_id"] == rotation.dag_id


def test_four_webhooks_in_one_audit(airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path) -> None:
    """A drifted, an overdue, a suspended and an unconfigured webhook, each found as what it is."""
    receiver = f"{world.receiver.url}/webhook"
    entries, ids = [], {}
    for name in ("drifted", "overdue", "suspended"):
        webhook = world.create_webhook(f"{name} webhook", receiver)
        ids[name] = webhook["id"]
        file = tmp_path / f"{name}.env"
        file.write_text(f"{KEY}={webhook['secret']}\n")
        store = {"type": "object_storage", "path": str(file), "key": KEY}
        full_name = f"{world.name}-{name}"
        entries.append(world.entry(name=full_name, webhook_id=webhook["id"], stores=[store], probe=None))
    dags = load(airflow, tmp_path, entries)
    airflow.start(dags[f"featurebase_rotate__{world.name}-overdue"])
    date_back(airflow, world, ids["overdue"], timedelta(days=120))
    airflow.start(dags[f"featurebase_rotate__{world.name}-drifted"], {"mode": "dry_run"})
    world.api("POST", f"/v2/webhooks/{ids['drifted']}/secret")
    failed = {"code": 502, "message": "Bad Gateway", "timestamp": "2026-11-20T04:12:00Z"}
    world.control(
        "POST",
        f"/webhooks/{ids['suspended']}",
        status="suspended",
        lastStatus=failed,
        health={"consecutiveFailures": 50, "errorsSinceLastSuccess": 50},
    )

    run = airflow.start(dags[AUDIT])

    assert kinds(run) == {
        "store_differs": [f"{world.name}-drifted/object_storage"],
        "secret_overdue": [f"{world.name}-overdue"],
        "webhook_inactive": [f"{world.name}-suspended"],
        "webhook_unconfigured": [world.webhook_id],
    }
    assert run.state == "failed"
    details = " ".join(one["detail"] for one in run.xcoms["audit"]["findings"])
    for words in ("120 d old, max_age is 90 d", "'suspended'", "502 'Bad Gateway'", f"webhook {world.webhook_id}"):
        assert words in details
    text = AuditReport.from_json(run.xcoms["audit"]).as_text()
    assert all(kind in text for kind in kinds(run))
    if path := os.environ.get("FEATUREBASE_AUDIT_TABLE"):
        Path(path).write_text(text)
    assert all(secret not in json.dumps(run.xcoms) for secret in world.secrets.values())
    assert "whsec_" not in json.dumps([run.xcoms, airflow.asset_events("featurebase://audit/report")])


def test_an_all_clear_needs_no_secret_refreshed_by_us(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """A webhook younger than max_age has no older secret; the report is an event for other Dags."""
    entry = world.entry(stores=[world.file_store()])
    run = airflow.start(load(airflow, tmp_path, [entry])[AUDIT])
    assert (run.state, kinds(run)) == ("success", {}), run.errors
    event = airflow.asset_events("featurebase://audit/report")[-1]
    assert {key: event[key] for key in ("audited", "stores", "open", "ignored", "findings")} == {
        "audited": 1, "stores": 1, "open": 0, "ignored": 0, "findings": [],
    }  # fmt: skip
    assert (world.calls("GET", "/v2/webhooks"), world.calls("GET", "/v2/audit-logs"), world.calls()) == (1, 1, 3)


def test_featurebases_own_log_tells_when_and_by_whom(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """A refresh that no run made is found, until a run has seen what it left; and ages are exact from the first day."""
    dags = load(airflow, tmp_path, [world.entry(probe=None)])
    world.control("POST", "/clock", advance=86400)
    first = airflow.start(dags[AUDIT])
    assert first.xcoms["audit"]["webhooks"][0]["age"].startswith("unknown, at most")
    airflow.start(dags[f"featurebase_rotate__{world.name}"])
    world.control("POST", "/clock", advance=600)
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    world.control("POST", "/clock", advance=3.5 * 86400)

    run = airflow.start(dags[AUDIT])

    assert kinds(run)["rotated_elsewhere"] == [world.name]
    details = {one["kind"]: one["detail"] for one in run.xcoms["audit"]["findings"]}
    assert "by the API key 'sandbox'" in details["rotated_elsewhere"]
    assert run.xcoms["audit"]["webhooks"][0]["age"] == "3 d"
    assert "metadata" not in json.dumps(run.xcoms)
    assert all(secret not in json.dumps(run.xcoms) for secret in world.secrets.values())


def test_what_is_broken_costs_the_rest_nothing(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """A wrong key, a connection that Airflow has not, an unusable store, a webhook that is gone; ignored kinds pass."""
    airflow.connect("wrong_key", host=world.url, password="sk_wrong")
    file = world.file_store()
    lost = {"type": "object_storage", "path": str(tmp_path / "nowhere" / "lost.env"), "key": KEY}
    folder = tmp_path / "folder.env"
    folder.mkdir()
    entries = [
        world.entry(name=f"{world.name}-refused", featurebase_conn_id="wrong_key", stores=[world.variable_store()]),
        world.entry(name=f"{world.name}-strange", featurebase_conn_id="no_such", webhook_id="5" * 24, stores=[lost]),
        world.entry(name=f"{world.name}-gone", webhook_id="6" * 24, stores=[{**lost, "path": str(folder)}]),
        world.entry(stores=[file]),
    ]
    run = airflow.start(load(airflow, tmp_path, entries, ignore=["key_refused", "store_absent"])[AUDIT])

    found = kinds(run)
    assert found["key_refused"] == ["wrong_key"]
    assert found["connection_unusable"] == ["no_such"]
    assert found["webhook_missing"] == [f"{world.name}-gone"]
    assert f"{world.name}-gone/object_storage" in found["store_unreachable"]
    assert not any(place.startswith(f"{world.name}/") for places in found.values() for place in places)
    ignored = {one["kind"] for one in run.xcoms["audit"]["findings"] if one["ignored"]}
    assert ignored == {"key_refused", "store_absent"} & set(found)
    assert "key_refused" not in run.error("findings")
    assert "connection_unusable: connection no_such" in run.error("findings")
    assert run.states["audit"] == "success"


def test_a_hundred_webhooks_in_one_run(airflow: InProcessAirflow, tmp_path: Path) -> None:
    """300 stores, and 20 webhooks of other products: two pages, one call each, and one for each that differs."""
    headers = {"Authorization": "Bearer sk_many", "Featurebase-Version": API_VERSION}
    with SandboxServer("sk_many", webhook_limit=200) as sandbox:
        airflow.connect("many", host=sandbox.url, password="sk_many")
        entries = []
        with httpx.Client(base_url=sandbox.url, headers=headers, timeout=60, trust_env=False) as http:
            for number in range(120):
                body = {"name": f"Webhook {number}", "url": "http://127.0.0.1:9/", "topics": [TOPIC]}
                webhook = http.post("/v2/webhooks", json=body).raise_for_status().json()
                stores = []
                for place in ("a", "b", "c"):
                    file = tmp_path / f"{number}-{place}.env"
                    file.write_text(f"{KEY}={webhook['secret']}\n")
                    stores.append({"type": "object_storage", "label": place, "path": str(file), "key": KEY})
                entry = {"name": f"many-{number}", "webhook_id": webhook["id"], "featurebase_conn_id": "many"}
                entries.append({**entry, "stores": stores})
        (tmp_path / "7-b.env").write_text(f"{KEY}=\n")
        before = len(sandbox.state.journal.calls)
        path = tmp_path / "rotation.yaml"
        path.write_text(yaml.safe_dump({"webhooks": entries[:100]}))
        run = airflow.start(airflow.load_file("many", ALONE.format(path=str(path)))[AUDIT])
        calls = [(call.method, call.path) for call in sandbox.state.journal.calls[before:]]

    report = run.xcoms["audit"]
    assert (report["audited"], report["stores"]) == (100, 300)
    assert {entry["kind"]: entry["number"] for entry in report["counts"]} == {
        "store_absent": 1,
        "webhook_unconfigured": 20,
    }
    again = ("GET", f"/v2/webhooks/{entries[7]['webhook_id']}")
    assert calls == [*[("GET", "/v2/webhooks")] * 2, ("GET", "/v2/audit-logs"), again]
    assert len(json.dumps(report)) < 300_000
    if path_to := os.environ.get("FEATUREBASE_AUDIT_FIGURES"):
        Path(path_to).write_text(f"{report['seconds']} s, XCom {len(json.dumps(report))} B\n")
