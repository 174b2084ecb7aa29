"""Whole Dag runs with stores that differ from the others: one that can't be read, one that restarts what reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.github_actions_cases import GithubRepositoryCase
    from tests.contract.kubernetes_secret_cases import KubernetesSecretCase
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

DISTRIBUTE = {"mode": "distribute"}


@pytest.fixture
def github() -> Iterator[GithubRepositoryCase]:
    from tests.contract.github_actions_cases import GithubRepositoryCase

    case = GithubRepositoryCase()
    yield case
    case.close()


@pytest.fixture
def kubernetes() -> Iterator[KubernetesSecretCase]:
    from tests.contract.kubernetes_secret_cases import KubernetesSecretCase

    case = KubernetesSecretCase()
    yield case
    case.close()


def entry_of(store: Any) -> dict[str, Any]:
    """A store's configuration as it stands in the rotation file."""
    fields: dict[str, Any] = store.model_dump(mode="json", exclude_unset=True)
    return {"type": store.type, **fields}


def current(case: GithubRepositoryCase | KubernetesSecretCase) -> str | None:
    seen = case.seen()
    return seen.current if seen else None


def test_a_variable_with_a_line_break_too_many_is_ours(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Somebody pasted the secret into the form: the rotation does not stop, and the exact secret is written."""
    airflow.set_variable(world.variable, f"{world.secret}\n")
    run = airflow.start(airflow.load(world.entry(stores=[world.variable_store()], probe=None)), DISTRIBUTE)
    assert (run.errors, world.refreshes()) == ({}, 0)
    found = airflow.variable(world.variable)
    assert found is not None
    assert found.val == world.secret


def test_a_store_that_cannot_be_read_gets_the_secret_and_is_reported_so(
    airflow: InProcessAirflow, world: FeaturebaseWorld, github: GithubRepositoryCase
) -> None:
    """The run ends well; the exposure is that of the first write, though the push wrote again."""
    github.put(world.secret)
    dag = airflow.load(world.entry(stores=[world.file_store(), entry_of(github.config())]))
    run = airflow.start(dag, {"mode": "rotate"})

    assert run.state == "success", run.errors
    assert world.refreshes() == 1
    assert current(github) == world.secret
    (store,) = [one for one in run.report["stores"] if one["label"] == "github_actions"]
    assert run.report["outcome"] == "rotated"
    assert (store["result"], store["fingerprint"]) == ("written", world.fingerprint)
    assert store["detail"].startswith("not readable")
    assert store["readable_ms"] == run.xcoms["rotate"]["stores"]["github_actions"]["readable_ms"]
    assert [path for method, path in github.github.requests if method == "PUT"] == [
        f"{github.config().path}/NEIGHBOUR"
    ] + 3 * [f"{github.config().path}/FEATUREBASE_WEBHOOK_SECRET"]


def test_a_secret_is_put_where_it_was_deleted(
    airflow: InProcessAirflow, world: FeaturebaseWorld, github: GithubRepositoryCase
) -> None:
    """Distributing does not refresh; it need not know what is there."""
    dag = airflow.load(world.entry(stores=[entry_of(github.config(create=True))]))
    run = airflow.start(dag, DISTRIBUTE)
    assert run.state == "success", run.errors
    assert (world.refreshes(), current(github)) == (0, world.secret)


def test_a_token_that_may_only_read_stops_the_run_before_anything_changed(
    airflow: InProcessAirflow, world: FeaturebaseWorld, github: GithubRepositoryCase
) -> None:
    github.put("whsec_as_it_was")
    with github.writing_denied() as config:
        run = airflow.start(airflow.load(world.entry(stores=[entry_of(config)])), {"mode": "rotate"})
    assert (run.state, run.states["preflight"]) == ("failed", "failed")
    assert (world.refreshes(), current(github)) == (0, "whsec_as_it_was")


def test_a_restart_that_failed_in_the_rotation_is_made_up_for_by_the_push(
    airflow: InProcessAirflow, world: FeaturebaseWorld, kubernetes: KubernetesSecretCase
) -> None:
    """The secret is in the cluster at once; its push task restarts what the rotate task could not, once."""
    kubernetes.put(world.secret)
    template = {"metadata": {"labels": {"app": "feedback"}}, "spec": {"containers": []}}
    kubernetes.apps.create_namespaced_deployment(
        "feedback", {"metadata": {"name": "feedback"}, "spec": {"selector": {}, "template": template}}
    )
    store = kubernetes.config(restart=[{"kind": "Deployment", "name": "feedback"}])
    dag = airflow.load(world.entry(stores=[world.file_store(), entry_of(store)]))
    run = airflow.start(dag, {"mode": "rotate"}, pause_after="preflight")
    # arming reads, the write patches, the restart is refused
    kubernetes.cluster.faults.extend([None, None, 503])
    airflow.go_on(run)

    assert run.state == "success", run.errors
    assert current(kubernetes) == world.secret
    assert run.xcoms["rotate"]["stores"]["kubernetes_secret"]["result"] == "failed"
    assert "not every restart" in run.xcoms["rotate"]["stores"]["kubernetes_secret"]["problem"]
    assert run.xcoms["push.kubernetes_secret"]["result"] == "written"
    deployment = kubernetes.apps.read_namespaced_deployment("feedback", "feedback")
    assert deployment.metadata.generation == 2
    assert run.report["outcome"] == "rotated"
