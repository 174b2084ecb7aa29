"""What follows the write of a pair's secrets: restarts, messages, older versions, copies; and what was left undone."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable
from tests.contract.gcp_cases import NAME, GcpJsonCase
from tests.contract.kubernetes_secret_cases import KubernetesJsonCase, KubernetesSecretCase
from tests.contract.redis_cases import RedisDotenvCase, RedisHashCase, RedisStringCase
from tests.contract.store_case import HELD, NEW, ready
from tests.contract.test_kubernetes_secret import APP, has_workloads, restarts
from tests.contract.test_store_conformance_pair import FRESH, OLD, needs, rule, slots
from tests.servers.secret_manager_api import ROTATION
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[KubernetesSecretCase, KubernetesJsonCase], ids=["keys", "entries"])
def cluster(request: pytest.FixtureRequest) -> Iterator[KubernetesSecretCase]:
    built: KubernetesSecretCase = request.param()
    built.cluster.rules["rotation"] = None
    built.put(HELD)
    has_workloads(built, "Deployment")
    yield built
    built.close()


def generation(case: KubernetesSecretCase) -> int:
    return restarts(case)["deployments"][0]


def test_workloads_restart_for_a_secret_that_is_new_beside_the_live_one(cluster: KubernetesSecretCase) -> None:
    """A container that reads its environment at the start must know both before deliveries move."""
    armed, terms = ready(cluster.config(restart=[APP])), rule(cluster.config(), HELD)
    assert converge(armed, needs(OLD, FRESH), terms)
    assert generation(cluster) == 2
    assert converge(armed, needs(FRESH), terms)
    assert generation(cluster) == 3
    assert armed.read().finished


def test_a_restart_that_failed_is_made_up_for(cluster: KubernetesSecretCase) -> None:
    armed, terms = ready(cluster.config(restart=[APP])), rule(cluster.config(), HELD)
    held = armed.read()
    cluster.cluster.faults.extend([None, 503])
    with pytest.raises(StoreUnreachable, match="not every restart has begun"):
        converge(armed, needs(OLD, FRESH), terms, held=held)
    assert (slots(cluster), generation(cluster)) == ((HELD, NEW), 1)
    assert not armed.read().finished
    assert converge(armed, needs(OLD, FRESH), terms)
    assert (slots(cluster), generation(cluster)) == ((HELD, NEW), 2)
    assert not converge(armed, needs(OLD, FRESH), terms)


def test_older_versions_that_are_still_enabled_are_disabled() -> None:
    with ExitStack() as stack:
        case = GcpJsonCase()
        stack.callback(case.close)
        case.put(HELD)
        granted = case.google.granted[ROTATION]
        case.google.granted[ROTATION] = granted - {"secretmanager.versions.disable"}
        armed, terms = ready(case.config(older_versions="disable")), rule(case.config(), HELD)
        with pytest.raises(StoreRefused, match="could not be disabled"):
            converge(armed, needs(OLD, FRESH), terms)
        assert not armed.read().finished
        case.google.granted[ROTATION] = granted | {"secretmanager.versions.disable"}
        assert converge(armed, needs(OLD, FRESH), terms)
        states = [version["state"] for version in case.google.secrets[NAME]["versions"]]
        assert (slots(case), states) == ((HELD, NEW), ["DISABLED", "ENABLED"])
        assert not converge(armed, needs(OLD, FRESH), terms)


@pytest.mark.parametrize("kind", [RedisStringCase, RedisHashCase, RedisDotenvCase], ids=["string", "hash", "entries"])
def test_subscribers_hear_of_the_secret_that_is_new(kind: type[RedisStringCase]) -> None:
    """One that compares the fingerprint with what it has would take no notice of the live secret's."""
    with ExitStack() as stack:
        case = kind()
        stack.callback(case.close)
        case.put(HELD)
        armed, terms = ready(case.config()), rule(case.config(), HELD)
        subscriber = stack.enter_context(case.admin.pubsub(ignore_subscribe_messages=True))
        subscriber.subscribe(f"{case.key}:reload")
        assert subscriber.get_message(timeout=5) is None
        for wanted in (needs(OLD, FRESH), needs(FRESH)):
            assert converge(armed, wanted, terms)
            message = subscriber.get_message(timeout=60)
            assert message is not None
            assert message["data"] == fingerprint_of(NEW)
        assert armed.read().current == SigningSecret(NEW)
