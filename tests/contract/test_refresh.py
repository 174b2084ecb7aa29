"""Objects in Kubernetes that copy from a store are told after each write, and asked until they have it.

The store is a real Vault's (OpenBao), read by the stand-in operators as the real ones would; the cluster is a stand-in
behind the vendor's client, and the account may do what docs/refresh.md tells to grant.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.current import SecretOrder
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.push import OneWebhook, push_until_agreed
from featurebase_provider.stores.registry import store_class
from tests.contract.hashicorp_vault_cases import VaultKv2Case
from tests.contract.store_case import HELD, NEW, ready, write_to
from tests.contract.test_store_conformance import MARK, pair, raises_quietly
from tests.contract.test_store_conformance_pair import FRESH, OLD, needs, rule
from tests.servers.dead_servers import silent_server
from tests.servers.kubernetes_api_server import FakeKubernetes, fake_kubernetes, kube_config
from tests.servers.local_server import free_port
from tests.servers.secret_operators import EXTERNAL_SECRET, VAULT_STATIC_SECRET, Operator
from tests.world.converge import converge
from tests.world.fakes import WEBHOOK_ID, Clock, FakeFeaturebase, MemoryStore, a_webhook
from tests.world.recipes import block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.stores.hashicorp_vault import HashicorpVaultStore
    from tests.servers.kubernetes_api_server import Key

RULE = WriteRule(MARK.webhook_id, "here", frozenset({SigningSecret(HELD).fingerprint}), keeps_previous=True)
KINDS = {"external_secret": (EXTERNAL_SECRET, "v1"), "vault_static_secret": (VAULT_STATIC_SECRET, "v1beta1")}


@dataclass
class World:
    """A Vault secret that an operator in a cluster copies."""

    vault: VaultKv2Case
    cluster: FakeKubernetes
    operator: Operator
    kind: str
    key: Key

    def connection(self, token: str = "rotation", port: int | None = None) -> str:
        conn_id = f"cluster_{uuid4().hex}"
        extra = {"kube_config": json.dumps(kube_config(port or self.cluster.port, token))}
        self.vault.patch.setenv(
            f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra})
        )
        return conn_id

    def follower(self, **changes: Any) -> dict[str, Any]:
        place = {"type": self.kind, "namespace": "feedback", "name": "feedback-webhook"}
        return {**place, "conn_id": changes.get("conn_id") or self.connection(), **changes}

    def config(self, *followers: dict[str, Any], **changes: Any) -> HashicorpVaultStore:
        return self.vault.config(refresh=[*(followers or [self.follower()])], **changes)

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.cluster.objects[self.key]["metadata"]["annotations"])

    def told(self) -> int:
        return sum(one == ("patch", f"{self.key[0]}/{self.key[2]}") for one in self.cluster.requests)


@pytest.fixture(params=sorted(KINDS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    vault = VaultKv2Case()
    vault.put(HELD)
    with fake_kubernetes() as cluster:
        role = next(yaml.safe_load_all(block("../refresh.md", "What to grant", "yaml")))
        cluster.rules["rotation"] = role["rules"]
        operator = Operator(cluster, lambda: vault.seen().current)
        (group, resource), version = KINDS[request.param]
        spec = {"refreshInterval": "1h"} if group == EXTERNAL_SECRET[0] else {"destination": {"name": "feedback"}}
        key = operator.define("feedback", "feedback-webhook", group=group, resource=resource, version=version, **spec)
        yield World(vault, cluster, operator, request.param, key)
    vault.close()


@contextmanager
def saying(words: str, kind: type[StoreError], name: str) -> Iterator[None]:
    """Expect an error that says this, and shows no value."""
    with raises_quietly(kind, name):
        with pytest.raises(kind, match=words) as caught:
            yield
        raise caught.value


def test_a_write_tells_what_copies_it(world: World) -> None:
    """An hour becomes milliseconds, and everything is done when the store is read again."""
    armed = ready(world.config())
    held = armed.read()
    assert world.operator.copies == [HELD]
    write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
    assert world.operator.copies == [HELD, NEW]
    assert armed.read().finished is True
    assert converge(armed, SigningSecret(NEW), RULE) is False
    assert world.told() == 1
    assert NEW not in json.dumps(world.annotations)


def test_a_worker_that_was_lost_after_the_write_told_nobody_and_left_no_mark(world: World) -> None:
    """The next push tells those that copy, and marks the value, without writing it again."""
    lost = ready(world.config())
    lost.write(pair(NEW, HELD), held=lost.read(), mark=MARK)
    armed = ready(world.config())
    held = armed.read()
    versions = held.version.stored.version[0]
    assert (world.told(), held.finished, held.mark) == (0, False, None)
    converge(armed, SigningSecret(NEW), RULE)
    held = armed.read()
    assert (world.told(), held.finished, held.version.stored.version[0]) == (1, True, versions)
    assert held.mark == replace(MARK, managed_from=RULE.managed_from)


def test_a_rotation_waits_for_no_copy_and_a_push_does(world: World) -> None:
    world.operator.lag = 1.5
    config = world.config()
    with arming([config]) as stores:
        began = time.monotonic()
        (outcome,) = distribute(stores, SigningSecret(NEW), RULE, since=began).values()
    assert (outcome.result, outcome.problem) == ("written", None)
    assert time.monotonic() - began < 1.4
    armed = ready(config)
    assert armed.read().finished is False
    armed.patience = 10
    assert converge(armed, SigningSecret(NEW), RULE) is True
    assert (armed.read().finished, world.operator.copies[-1], world.told()) == (True, NEW, 1)


def test_a_copy_that_never_comes_is_said_and_told_again(world: World) -> None:
    """The secret stays where it is; each push tells it once more, and is done as soon as the operator works again."""
    config = world.config()
    armed = ready(config)
    world.operator.stopped = True
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    armed.patience = 1
    held = armed.read()
    with saying("it holds the secret.*not fetched it yet: .*/feedback-webhook", StoreUnreachable, config.full_name):
        write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
    assert (world.told(), world.vault.seen().current) == (2, NEW)
    world.operator.stopped = False
    assert converge(armed, SigningSecret(NEW), RULE) is True
    assert world.operator.copies == [HELD, NEW]
    assert converge(ready(config), SigningSecret(NEW), RULE) is False


def test_a_copy_that_fails_to_fetch_is_not_done(world: World) -> None:
    """Its operator says so in the object's status, and nothing else has changed since it was told."""

    def refuse() -> str:
        raise PermissionError

    fetch, world.operator.fetch = world.operator.fetch, refuse
    armed = ready(world.config())
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    assert armed.read().finished is False
    world.operator.fetch = fetch
    world.operator.touched(world.key)
    assert armed.read().finished is True


def test_a_lost_worker_leaves_a_copy_that_the_next_push_tells(world: World) -> None:
    """The value was written, and nobody was told: what the object shows says so."""
    config = world.config()
    write_to(ready(world.vault.config()), pair(NEW, HELD), held=ready(world.vault.config()).read(), mark=MARK)
    armed = ready(config)
    assert armed.read().finished is False
    armed.patience = 5
    assert converge(armed, SigningSecret(NEW), RULE) is True
    assert (armed.read().finished, world.operator.copies[-1]) == (True, NEW)


def test_a_previous_secret_that_goes_is_told_too(world: World) -> None:
    """What has leaked must not stay in the copy."""
    armed = ready(world.config())
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert (world.told(), armed.read().finished) == (2, True)


def test_a_secret_that_is_new_beside_the_live_one_is_told_and_awaited(world: World) -> None:
    """The copy's reader needs both before a pair's deliveries move; what was not told is told by the next push."""
    terms = rule(world.config(), HELD)
    assert converge(ready(world.vault.config()), needs(OLD, FRESH), terms)
    armed = ready(world.config())
    assert armed.read().finished is False
    armed.patience = 5
    assert converge(armed, needs(OLD, FRESH), terms) is True
    assert (world.told(), armed.read().finished) == (1, True)
    assert converge(armed, needs(FRESH), terms) is True
    assert (world.told(), armed.read().finished, world.operator.copies[-1]) == (2, True, NEW)


def test_a_push_is_done_when_the_copy_is(world: World) -> None:
    """One that writes the store itself too."""
    api = FakeFeaturebase(Clock())
    world.operator.lag = 0.3
    api.history.append(a_webhook(NEW))
    config = world.config(adopt=True)
    pushed = push_until_agreed(OneWebhook(api, WEBHOOK_ID, SecretOrder(), api.clock), ready(config), RULE)
    assert (pushed.changed, world.operator.copies[-1]) == (True, NEW)
    assert ready(config).read().finished is True


@pytest.mark.parametrize("dead", ["closed", "silent", "missing"])
def test_a_dead_cluster_costs_the_store_nothing(world: World, dead: str) -> None:
    """It is written at once all the same; then its push says what could not be told, and to whom."""
    with silent_server() as server:
        conn_id = {
            "closed": lambda: world.connection(port=free_port()),
            "silent": lambda: world.connection(port=server.port),
            "missing": lambda: "no_such_cluster",
        }[dead]()
        config = world.config(world.follower(conn_id=conn_id), timeout=2)
        with arming([config]) as stores:
            assert (dict(stores.problems), stores.held[config.label].finished) == ({}, False)
            (outcome,) = distribute(stores, SigningSecret(NEW), RULE, since=None).values()
        assert (outcome.result, world.vault.seen().current) == ("failed", NEW)
        assert "it holds the secret, but what copies it could not be told" in str(outcome.problem)
        assert "feedback/feedback-webhook" in str(outcome.problem)
        with pytest.raises(StoreError, match="no_such_cluster" if dead == "missing" else None):
            ready(config).prove_writable()


def test_the_proof_tells_nobody(world: World) -> None:
    before = json.dumps(sorted(world.cluster.objects.items()))
    proof = ready(world.config()).prove_writable()
    assert (proof.proven, "can be told to follow" in proof.detail) == (True, True)
    assert json.dumps(sorted(world.cluster.objects.items())) == before
    assert ("patch (dry run)", f"{world.key[0]}/feedback-webhook") in world.cluster.requests


def test_the_proof_finds_what_is_missing(world: World) -> None:
    gone = world.config(world.follower(name="other", conn_id=world.connection("admin")))
    with saying("there is no .* feedback/other", StoreRefused, gone.full_name):
        ready(gone).prove_writable()
    world.cluster.rules["reader"] = [{**rule, "verbs": ["get"]} for rule in world.cluster.rules["rotation"] or ()]
    reader = world.config(world.follower(conn_id=world.connection("reader")))
    with saying("403 to patch", StoreRefused, reader.full_name):
        ready(reader).prove_writable()
    world.cluster.no_dry_run = True
    proof = ready(world.config()).prove_writable()
    assert (proof.proven, "not provable" in proof.detail) == (False, True)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"refreshInterval": "0s"}, "never does again"),
        ({"refreshInterval": "0h0m0s", "refreshPolicy": "Periodic"}, "never does again"),
        ({"refreshInterval": "1h", "refreshPolicy": "CreatedOnce"}, "never does again"),
        ({"refreshInterval": "1h", "target": {"immutable": True}}, "immutable"),
    ],
)
def test_an_object_that_heeds_nobody_is_refused(world: World, spec: dict[str, Any], words: str) -> None:
    if world.kind != "external_secret":
        pytest.skip("not applicable: a VaultStaticSecret has no such field")
    world.cluster.objects[world.key]["spec"] = spec
    config = world.config()
    with saying(words, StoreRefused, config.full_name):
        ready(config).prove_writable()
    world.cluster.objects[world.key]["spec"] = {"refreshInterval": "0s", "refreshPolicy": "OnChange"}
    assert ready(config).prove_writable().proven


def test_older_versions_of_the_operators_are_understood(world: World) -> None:
    """External Secrets before 0.16 serves v1beta1 only; Vault Secrets Operator before 1.0 dates nothing."""
    world.operator.dates = False
    if world.kind == "external_secret":
        world.cluster.served = {"external-secrets.io/v1beta1"}
    else:
        world.operator.touched(world.key)
    armed = ready(world.config())
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    assert (armed.read().finished, world.operator.copies[-1]) == (True, NEW)


def test_several_copies_are_told_at_once(world: World) -> None:
    """Two clusters, of which one is dead, and two stores of one object: none takes another's note for its own."""
    good, dead = world.follower(), world.follower(conn_id=world.connection(port=free_port()))
    config = world.config(dead, good)
    armed = ready(config)
    with saying("could not be told: .*", StoreUnreachable, config.full_name):
        write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    assert world.operator.copies[-1] == NEW
    other = ready(world.config(good, key="owner", previous_key=None))
    assert other.read().finished is False
    assert ready(world.config(good)).read().finished is True


@pytest.mark.parametrize(
    ("type_", "place"),
    [
        ("aws_secrets_manager", {"name": "a"}),
        ("aws_ssm", {"name": "a"}),
        ("azure_key_vault", {"vault_url": "https://acme-feedback.vault.azure.net", "name": "a"}),
        ("gcp_secret_manager", {"project_id": "acme-feedback", "secret_id": "a"}),
        ("hashicorp_vault", {"path": "a"}),
    ],
)
def test_stores_that_operators_copy_from_have_the_field(type_: str, place: dict[str, Any]) -> None:
    entry = {"type": "external_secret", "namespace": "feedback", "name": "a"}
    store: Any = store_class(type_)(**place, refresh=[entry])
    armed = MemoryStore().arm()
    assert store.followed(armed) is not armed
    assert store_class(type_)(**place).followed(armed) is armed  # type: ignore[attr-defined]
    for wrong in (
        [entry, entry],
        [{**entry, "type": "secret"}],
        [{**entry, "namespace": "A"}],
        [{"type": "external_secret"}],
    ):
        with pytest.raises(ValidationError):
            store_class(type_)(**place, refresh=wrong)
