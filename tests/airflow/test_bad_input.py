"""Everything that must end with a clear error and nothing changed, as a whole Dag run meets it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from featurebase_provider.sandbox.server import AppServer

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

UNKNOWN_ID = "5" * 24
Prepare = Callable[["FeaturebaseWorld", "InProcessAirflow"], Any]


@dataclass(frozen=True)
class Case:
    """One bad input.

    :param says: what the failed task's message must hold: what failed, where, what state things are in, what to do.
    :param before: makes things so before the run; may return changes of the rotation file's entry.
    :param between: makes things so between preflight and rotate.
    :param connection: changes of the connection.
    :param task: the task that must fail.
    :param refreshes: refreshes that took effect at Featurebase.
    """

    id: str
    says: tuple[str, ...]
    before: Prepare = lambda world, airflow: None
    between: Prepare | None = None
    connection: dict[str, Any] = field(default_factory=dict)
    task: str = "preflight"
    outcome: str = "nothing_changed"
    refreshes: int = 0


def stores(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"stores": list(entries)}


def forced(**state: Any) -> Prepare:
    return lambda world, airflow: world.force(**state)


def deleted(world: FeaturebaseWorld, airflow: InProcessAirflow) -> None:
    world.api("DELETE", f"/v2/webhooks/{world.webhook_id}")


def with_url(url: str) -> Prepare:
    return lambda world, airflow: world.move(url)


def receiver_with_another_secret(world: FeaturebaseWorld, airflow: InProcessAirflow) -> dict[str, Any]:
    world.force(secret="whsec_rotated_by_hand_and_never_delivered")
    return stores(world.variable_store())


def read_only(world: FeaturebaseWorld, airflow: InProcessAirflow) -> None:
    world.secret_file.chmod(0o444)


def foreign_value(world: FeaturebaseWorld, airflow: InProcessAirflow) -> dict[str, Any]:
    airflow.set_variable(world.variable, "another-programs-token", "not ours")
    return {"probe": None}


def two_of_one_name(world: FeaturebaseWorld, airflow: InProcessAirflow) -> dict[str, Any]:
    world.create_webhook("Production", "https://example.com/other")
    return {"webhook_id": None, "webhook_name": "Production"}


CASES = [
    Case(
        "unknown webhook id",
        ("answered 404", f"/v2/webhooks/{UNKNOWN_ID}", "Nothing was changed", "check the webhook's id"),
        before=lambda world, airflow: {"webhook_id": UNKNOWN_ID},
    ),
    Case(
        "unknown webhook name",
        ("no webhook has the name 'Staging'", "nothing was changed", "webhook_id"),
        before=lambda world, airflow: {"webhook_id": None, "webhook_name": "Staging"},
    ),
    Case(
        "ambiguous webhook name",
        ("2 webhooks", "have the name 'Production'", "nothing was changed", "webhook_id"),
        before=two_of_one_name,
    ),
    Case(
        "wrong API key",
        ("answered 401", "Nothing was changed", "API key in the connection's password field"),
        connection={"password": "sk_of_somebody_else"},
    ),
    Case(
        "no API key",
        ("connection 'featurebase_", "the password field is empty", "API key"),
        connection={"password": ""},
    ),
    Case(
        "API version without webhooks",
        ("connection 'featurebase_", "2025-12-12.clover has no webhook endpoints", "use 2026-01-01.nova or newer"),
        connection={"extra": '{"api_version": "2025-12-12.clover"}'},
    ),
    Case(
        "http to a host that is not this machine",
        ("connection 'featurebase_", "plain http to featurebase.example", "use https"),
        connection={"host": "http://featurebase.example"},
    ),
    Case(
        "no Featurebase there",
        ("GET /v2/webhooks/", "could not be sent", "Nothing was changed", "base URL"),
        connection={"host": "http://127.0.0.1:9"},
    ),
    Case(
        "paused webhook",
        ("it is 'paused', not active", "nothing was changed", "allow_inactive: true"),
        before=forced(status="paused"),
    ),
    Case(
        "suspended webhook",
        ("it is 'suspended', not active", "nothing was changed", "Set it active in Featurebase"),
        before=forced(status="suspended"),
    ),
    Case(
        "webhook paused between plan and refresh",
        ("active when planned and is 'paused' now", "its secret was not refreshed", "clear this task"),
        between=forced(status="paused"),
        task="rotate",
    ),
    Case(
        "webhook suspended between plan and refresh",
        ("active when planned and is 'suspended' now", "its secret was not refreshed", "clear this task"),
        between=forced(status="suspended"),
        task="rotate",
    ),
    Case(
        "webhook deleted between plan and refresh",
        ("answered 404", "Nothing was changed", "check the webhook's id"),
        between=deleted,
        task="rotate",
        outcome="webhook_gone",
    ),
    Case(
        "answer without secret",
        ("contains no signing secret", "no", "changed", "api_version"),
        before=forced(omit_secret=True),
    ),
    Case(
        "answer without secret between plan and refresh",
        ("contains no signing secret", "changed", "api_version"),
        between=forced(omit_secret=True),
        task="rotate",
        outcome="unknown",
    ),
    Case(
        "store in a folder that does not exist",
        ("1 of 2 stores", "object_storage", "/nowhere does not exist", "nothing was changed", "mount the volume"),
        before=lambda world, airflow: stores(
            world.variable_store(), world.file_store(path=f"{world.folder}/nowhere/webhook.env")
        ),
    ),
    Case(
        "store in a file that does not exist",
        ("1 of 1 stores", "object_storage", "it does not exist", "nothing was changed", "create: true"),
        before=lambda world, airflow: stores(world.file_store(path=f"{world.folder}/other.env")),
    ),
    Case(
        "store in a read-only file",
        ("1 of 2 stores", "object_storage", "read-only", "Nothing was changed"),
        before=read_only,
    ),
    Case(
        "store with a foreign value",
        ("1 of 2 stores", "airflow_variable", "may belong to something else", "was not changed", "adopt: true"),
        before=foreign_value,
    ),
    Case(
        "two stores, two reasons",
        ("2 of 2 stores", "airflow_variable", "object_storage", "read-only", "adopt: true", "Nothing was changed"),
        before=lambda world, airflow: (foreign_value(world, airflow), read_only(world, airflow))[0],
    ),
    Case(
        "store with a foreign value between plan and refresh",
        ("airflow_variable", "may belong to something else", "nothing was refreshed", "adopt: true"),
        between=foreign_value,
        task="rotate",
    ),
    Case(
        "receiver that never accepts",
        ("the receiver '127.0.0.1' refuses the signature: it answered 401", "Nothing was changed"),
        before=receiver_with_another_secret,
    ),
    Case(
        "receiver that can't be reached",
        ("the receiver '127.0.0.1' can't be reached", "ConnectError", "firewall", "Nothing was changed"),
        before=with_url("http://127.0.0.1:9/webhook"),
    ),
    Case(
        "receiver whose host does not exist",
        ("the receiver 'receiver.invalid' can't be reached", "can't be resolved", "Nothing was changed"),
        before=with_url("https://receiver.invalid/webhook"),
    ),
    Case(
        "receiver at a metadata address",
        ("169.254.169.254", "it was not probed", "probe.allow_hosts"),
        before=with_url("https://169.254.169.254/latest"),
    ),
    Case(
        "receiver that verifies nothing",
        ("'127.0.0.1'", "one signed with a wrong key was accepted too", "verifies no signature", "Nothing was changed"),
        before=lambda world, airflow: world.move(f"{world.careless_url}/webhook"),
    ),
    Case(
        "answer that is not JSON",
        ("answered 200 to GET", "Nothing was changed", "base URL"),
        before=lambda world, airflow: world.fault("malformed", method="GET", body="html"),
    ),
    Case(
        "answer that is no webhook",
        ("answered 200 to GET", "Nothing was changed", "base URL"),
        before=lambda world, airflow: world.fault("malformed", method="GET", body="wrong_type"),
    ),
    Case(
        "refresh whose answer is not JSON and that did not happen",
        ("answered 200 to POST", "kept showing the old secret", "most likely nothing was refreshed"),
        between=lambda world, airflow: world.fault("malformed", body="not_json", commit=False),
        task="rotate",
    ),
    Case(
        "refresh that returns the old secret unchanged",
        ("answered the refresh with the old secret unchanged", "audit log shows", "no retry sends another one"),
        between=forced(keep_secret=True),
        task="rotate",
        refreshes=1,  # the call was carried out; the secret stayed as it was
    ),
    Case(
        "refused refresh",
        ("answered 403", "POST", "Nothing was changed", "plan includes webhooks"),
        between=lambda world, airflow: world.fault("status", status=403),
        task="rotate",
    ),
    Case(
        "rate limit at the refresh",
        ("answered 429", "Nothing was changed", "a retry is safe"),
        between=lambda world, airflow: world.fault("status", status=429),
        task="rotate",
    ),
]


@pytest.fixture
def careless() -> AbstractContextManager[AppServer]:
    """A receiver that accepts everything."""
    app = FastAPI(openapi_url=None)
    app.post("/webhook")(lambda: {})
    return AppServer(app)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id.replace(" ", "-"))
def test_clear_error_and_nothing_changed(
    airflow: InProcessAirflow, world: FeaturebaseWorld, careless: AppServer, case: Case
) -> None:
    """The right task fails with the right words; secret and stores are what they were, and the report is written."""
    connection = {"host": world.url, "password": world.api_key, "extra": '{"max_retries": 0}', **case.connection}
    airflow.connect(world.conn_id, **connection)
    with careless if "verifies nothing" in case.id else nullcontext() as server:
        world.careless_url = server.url if server else ""
        changes = case.before(world, airflow) or {}
        entry = {key: value for key, value in world.entry(**changes).items() if value is not None or key == "probe"}
        dag = airflow.load(entry)
        kept = held(airflow, world)
        run = airflow.start(dag, pause_after="preflight")
        if case.between is not None:
            assert run.errors == {}
            case.between(world, airflow)
            kept = held(airflow, world)
        airflow.go_on(run)

    assert run.state == "failed"
    assert list(run.errors) == [case.task, "outcome"], run.errors
    assert [text for text in case.says if text not in run.error(case.task)] == [], run.error(case.task)
    assert world.refreshes() == case.refreshes
    assert held(airflow, world) == kept
    assert (run.states["report"], run.report["outcome"]) == ("success", case.outcome)
    assert run.report["cause"] == f"{case.task}: {run.error(case.task)}"
    assert airflow.asset_events(f"featurebase://webhooks/{world.name}/signing-secret") == []


def held(airflow: InProcessAirflow, world: FeaturebaseWorld) -> list[Any]:
    """Featurebase's secret and the stores, byte for byte."""
    webhook = world.sandbox.state.webhooks.find(world.webhook_id)
    variable = airflow.variable(world.variable)
    status = world.secret_file.stat()
    return [
        webhook and webhook.secret,
        variable and (variable._val, variable.description),
        world.secret_file.read_bytes(),
        (status.st_mode, status.st_ino, status.st_mtime_ns),
        sorted(path.name for path in world.folder.rglob("*")),
    ]


NO_CONNECTION = "this Airflow connection does not exist; create it, or correct featurebase_conn_id"


def test_missing_connection(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """No retry waits for it; nothing was changed."""
    run = airflow.start(airflow.load(world.entry(featurebase_conn_id="featurebase_nowhere", retries=3)))
    assert (run.state, run.states["report"], world.refreshes()) == ("failed", "success", 0)
    assert run.errors["preflight"] == [f"connection 'featurebase_nowhere': {NO_CONNECTION}"]


def test_a_connection_that_is_taken_away_under_way(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The report, which would read Featurebase, is written all the same."""
    run = airflow.start(airflow.load(world.entry(retries=3)), pause_after="preflight")
    airflow.disconnect(world.conn_id)
    airflow.go_on(run)
    assert (run.state, run.states["report"], world.refreshes()) == ("failed", "success", 0)
    assert run.errors["rotate"] == [f"connection {world.conn_id!r}: {NO_CONNECTION}"]


def test_malformed_id_never_leaves_the_worker(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A templated id that turns out to be none is refused before anything is sent."""
    text = f"""\
from airflow.sdk import DAG
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator

with DAG({world.name!r}, schedule=None) as dag:
    RotateWebhookSecretOperator(
        task_id="rotate", webhook_id="{{{{ '../' ~ 'webhooks' }}}}", featurebase_conn_id={world.conn_id!r},
        stores=[{world.file_store()!r}],
    )
"""
    calls = world.calls()
    run = airflow.start(airflow.load_file(world.name, text)[world.name])
    assert run.state == "failed"
    assert "was not sent" in run.error("rotate")
    assert world.calls() == calls
