"""Configuration of ``kubernetes_secret``, its restarts, and a server that misbehaves."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client import Configuration
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import (
    StoreConflict,
    StoreRefused,
    StoreUnreachable,
    StoreUnusable,
)
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.stores.kubernetes_secret import KubernetesSecretStore
from tests.contract.kubernetes_secret_cases import KEY, NAME, NAMESPACE, KubernetesSecretCase
from tests.contract.store_case import ALL_VALUES, HELD, HELD_PREVIOUS, NEW, THEIRS, ready, write_to
from tests.contract.test_store_conformance import MARK, pair, raises_quietly, raises_saying
from tests.servers.kubernetes_api_server import kube_config
from tests.servers.relay import relay_to
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE: dict[str, Any] = {"namespace": NAMESPACE, "name": NAME}
APP = {"kind": "Deployment", "name": "feedback"}
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@pytest.fixture
def case() -> Iterator[KubernetesSecretCase]:
    built = KubernetesSecretCase()
    built.put(HELD)
    yield built
    built.close()


def has_workloads(case: KubernetesSecretCase, *kinds: str) -> None:
    create = {
        "Deployment": case.apps.create_namespaced_deployment,
        "StatefulSet": case.apps.create_namespaced_stateful_set,
        "DaemonSet": case.apps.create_namespaced_daemon_set,
    }
    template = {"metadata": {"labels": {"app": "feedback"}}, "spec": {"containers": [{"name": "app"}]}}
    spec = {"selector": {"matchLabels": {"app": "feedback"}}, "serviceName": "feedback", "template": template}
    for kind in kinds:
        create[kind](NAMESPACE, {"metadata": {"name": "feedback"}, "spec": spec})


def restarts(case: KubernetesSecretCase) -> dict[str, tuple[int, str | None]]:
    """Generation of each workload, and when it was restarted."""
    found = {}
    for (resource, _, _), made in case.cluster.objects.items():
        if resource != "secrets":
            annotations = made["spec"]["template"]["metadata"].get("annotations", {})
            found[resource] = made["metadata"]["generation"], annotations.get("kubectl.kubernetes.io/restartedAt")
    return found


def rule() -> WriteRule:
    return WriteRule(
        MARK.webhook_id, MARK.managed_from, frozenset({SigningSecret(HELD).fingerprint}), keeps_previous=True
    )


def test_the_target_names_connection_and_key() -> None:
    store = KubernetesSecretStore(**PLACE, conn_id="prod")
    assert store.target == f"kubernetes://prod@feedback/feedback-webhook#{KEY}"
    assert (store.key, store.previous_key, store.keeps_previous, store.create) == (KEY, None, False, False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "x"}, "namespace"),
        ({"namespace": "Feedback", "name": "x"}, "match pattern"),
        ({"namespace": "feedback", "name": "-x"}, "match pattern"),
        ({**PLACE, "key": "a b"}, "match pattern"),
        ({**PLACE, "key": ""}, "match pattern"),
        ({**PLACE, "key": "a", "previous_key": "a"}, "key and previous_key must differ"),
        ({**PLACE, "conn_id": ""}, "at least 1 character"),
        ({**PLACE, "restart": [{"kind": "Pod", "name": "a"}]}, "'Deployment', 'StatefulSet' or 'DaemonSet'"),
        ({**PLACE, "restart": [APP, APP]}, "name each workload once"),
        ({**PLACE, "restart": [{**APP, "namespace": "other"}]}, "Extra inputs"),
    ],
)
def test_a_wrong_configuration_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        KubernetesSecretStore(**fields)


def test_a_configuration_is_checked_without_the_client() -> None:
    """Dag parsing must not pay for it."""
    code = (
        "import sys; from featurebase_provider.stores.registry import store_class;"
        "store_class('kubernetes_secret')(namespace='a', name='b');"
        "assert not {'kubernetes', 'airflow', 'urllib3'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_provider_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.cncf.kubernetes.hooks.kubernetes", None)
    with pytest.raises(StoreUnusable, match=r"pip install 'airflow-provider-featurebase\[kubernetes_secret\]'"):
        ready(KubernetesSecretStore(**PLACE))


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"kube_config": json.dumps({"users": [{"user": {"token": HELD}}]})}, "no usable kube config"),
        (None, "no Airflow connection"),
    ],
)
def test_a_connection_of_no_use_is_named(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, str] | None, words: str
) -> None:
    if extra:
        monkeypatch.setenv("AIRFLOW_CONN_KUBE", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    store = KubernetesSecretStore(**PLACE, conn_id="kube")
    with raises_saying(words, StoreUnusable, store.full_name):
        ready(store)


def test_stores_of_two_clusters_share_nothing(case: KubernetesSecretCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """They connect at once: what one loads into the process's own configuration, the other would take for its own."""
    monkeypatch.setattr(Configuration, "set_default", lambda default: pytest.fail("loaded for the whole process"))
    case.put(HELD)
    with relay_to("127.0.0.1", case.cluster.port) as relay:
        configs = [case.config(), case.config(conn_id=case.connection("rotation", relay.port))]
        first, second = (config.arm() for config in configs)
        second.connect()
        assert first.read().current == second.read().current == SigningSecret(HELD)
        relay.close()
        assert first.read().current == SigningSecret(HELD)
        with pytest.raises(StoreUnreachable):
            second.read()


@pytest.mark.parametrize("name", ["in_cluster", "extra__kubernetes__in_cluster"])
def test_within_the_cluster_its_own_account_is_used(
    case: KubernetesSecretCase, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """There the hook loads the configuration of the process, which is the same for all such stores."""
    own = Configuration(host=f"http://127.0.0.1:{case.cluster.port}", api_key={"authorization": "Bearer rotation"})
    monkeypatch.setattr(Configuration, "_default", None)
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: Configuration.set_default(own))
    monkeypatch.setenv("AIRFLOW_CONN_KUBE", json.dumps({"conn_type": "kubernetes", "extra": {name: True}}))
    case.put(HELD)
    assert ready(case.config(conn_id="kube")).read().current == SigningSecret(HELD)


def test_plain_http_to_another_host_is_refused(case: KubernetesSecretCase, monkeypatch: pytest.MonkeyPatch) -> None:
    config = kube_config(1, "token")
    config["clusters"][0]["cluster"]["server"] = "http://kubernetes.example"
    extra = {"kube_config": json.dumps(config)}
    monkeypatch.setenv("AIRFLOW_CONN_KUBE", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    with pytest.raises(StoreUnusable, match="plain http"):
        ready(case.config(conn_id="kube"))


def test_the_write_restarts_every_workload_once(case: KubernetesSecretCase) -> None:
    """The secret, the rollouts, then the note of what was due goes: another push finds nothing to do."""
    has_workloads(case, *WORKLOADS)
    armed = ready(case.config(restart=[{"kind": kind, "name": "feedback"} for kind in WORKLOADS]))
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    generations = restarts(case)
    assert {generation for generation, _ in generations.values()} == {2}
    assert all(at for _, at in generations.values())
    held = armed.read()
    assert (held.current, held.mark, held.finished) == (SigningSecret(NEW), MARK, True)
    assert converge(armed, SigningSecret(NEW), rule()) is False
    assert restarts(case) == generations


def test_what_did_not_change_restarts_nothing(case: KubernetesSecretCase) -> None:
    """Neither the same secret again nor a previous one that is dropped."""
    has_workloads(case, "Deployment")
    case.put(HELD, HELD_PREVIOUS)
    armed = ready(case.config(restart=[APP]))
    write_to(armed, pair(HELD, HELD_PREVIOUS), held=armed.read(), mark=MARK)
    write_to(armed, pair(HELD), held=armed.read(), mark=MARK)
    assert restarts(case) == {"deployments": (1, None)}
    seen = case.seen()
    assert seen is not None
    assert seen.previous is None


def test_a_failed_restart_is_made_up_for(case: KubernetesSecretCase) -> None:
    """The message says that the secret is there; the next push restarts, and what had restarted is left alone."""
    has_workloads(case, "Deployment", "StatefulSet")
    config = case.config(restart=[APP, {"kind": "StatefulSet", "name": "feedback"}])
    armed = ready(config)
    held = armed.read()
    case.cluster.faults.extend([None, None, 503])
    words = "holds the new secret, but not every restart.*503.*StatefulSet"
    with raises_saying(words, StoreUnreachable, config.full_name):
        write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
    before = restarts(case)
    assert (before["deployments"][0], before["statefulsets"][0]) == (2, 1)
    assert armed.read().finished is False
    assert converge(armed, SigningSecret(NEW), rule()) is True
    after = restarts(case)
    assert after["deployments"] == before["deployments"]
    assert after["statefulsets"] == (2, before["deployments"][1])
    assert armed.read().finished is True


def test_a_worker_lost_before_the_restart_is_made_up_for(case: KubernetesSecretCase) -> None:
    has_workloads(case, "Deployment")
    config = case.config(restart=[APP])
    armed = ready(config)
    held = armed.read()
    case.cluster.faults.extend([None, "drop", "drop"])
    with pytest.raises(StoreUnreachable):
        write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
    fresh = ready(config)
    assert converge(fresh, SigningSecret(NEW), rule()) is True
    assert restarts(case)["deployments"][0] == 2
    seen = case.seen()
    assert seen is not None
    assert (seen.current, seen.previous) == (NEW, HELD)


def test_a_missing_workload_is_found_beforehand(case: KubernetesSecretCase) -> None:
    config = case.config(restart=[APP])
    armed = ready(config)
    before = case.evidence()
    with raises_saying("no Deployment feedback", StoreRefused, config.full_name):
        armed.prove_writable()
    assert case.evidence() == before


def test_a_missing_right_to_restart_is_found_beforehand(case: KubernetesSecretCase) -> None:
    has_workloads(case, "Deployment")
    rules = case.cluster.rules["rotation"]
    assert rules
    case.cluster.rules["no_restart"] = [one for one in rules if one["apiGroups"] == [""]]
    with pytest.raises(StoreRefused, match="403 to patch Deployment feedback"):
        ready(case.config(restart=[APP], conn_id=case.connection("no_restart"))).prove_writable()


def test_the_proof_tries_the_restarts_too(case: KubernetesSecretCase) -> None:
    has_workloads(case, "Deployment")
    before = case.evidence()
    proof = ready(case.config(restart=[APP])).prove_writable()
    assert (proof.proven, "1 restarts" in proof.detail) == (True, True)
    assert case.evidence() == before
    assert ("patch (dry run)", "deployments/feedback") in case.cluster.requests


def test_somebody_who_writes_during_the_restart_keeps_what_they_wrote(case: KubernetesSecretCase) -> None:
    """Whether before or after the last look; after it the note stays, which costs a push that changes nothing."""
    has_workloads(case, "Deployment")
    armed = ready(case.config(restart=[APP]))
    api = armed.client  # type: ignore[attr-defined]
    held = armed.read()
    patch = pytest.MonkeyPatch()

    def then_somebody_writes(name: str, value: bytes) -> None:
        real = getattr(type(api), name)

        def wrapped(*args: Any, **options: Any) -> Any:
            done = real(*args, **options)
            body = {"data": {"OTHER": base64.b64encode(value).decode()}}
            case.core.patch_namespaced_secret(NAME, NAMESPACE, body)
            return done

        patch.setattr(type(api), name, wrapped)

    then_somebody_writes("restart", b"theirs")
    write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
    patch.undo()
    assert armed.read().finished is True
    assert base64.b64decode(case.secret().data["OTHER"]) == b"theirs"

    held = armed.read()
    then_somebody_writes("secret", b"theirs again")
    write_to(armed, pair(HELD, NEW), held=held, mark=MARK)
    patch.undo()
    assert armed.read().finished is False
    generations = restarts(case)
    assert converge(armed, SigningSecret(HELD), rule()) is True
    assert restarts(case) == generations
    assert armed.read().finished is True
    assert base64.b64decode(case.secret().data["OTHER"]) == b"theirs again"


def test_a_connection_closed_between_read_and_write_is_opened_again(case: KubernetesSecretCase) -> None:
    with relay_to("127.0.0.1", case.cluster.port) as relay:
        armed = ready(case.config(conn_id=case.connection("rotation", relay.port)))
        held = armed.read()
        relay.cut()
        write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
        assert armed.read().current == SigningSecret(NEW)
        armed.close()


def test_a_silent_server_costs_no_more_than_the_timeout(case: KubernetesSecretCase) -> None:
    """One request, not one per retry."""
    with relay_to("127.0.0.1", case.cluster.port) as relay:
        config = case.config(conn_id=case.connection("rotation", relay.port), timeout=0.2)
        armed = ready(config)
        held = armed.read()
        relay.fall_silent()
        before = len(case.cluster.requests)
        with raises_quietly(StoreUnreachable, config.full_name):
            write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
        assert len(case.cluster.requests) == before
        armed.close()


def test_a_lost_answer_is_found_done(case: KubernetesSecretCase) -> None:
    """The repeated request meets its own version, which is a conflict; converging then finds the secret there."""
    armed = ready(case.config())
    held = armed.read()
    case.cluster.faults.append("drop_after")
    assert converge(armed, SigningSecret(NEW), rule(), held=held) is False
    seen = case.seen()
    assert seen is not None
    assert (seen.current, seen.previous) == (NEW, HELD)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (400, StoreRefused),
        (401, StoreRefused),
        (403, StoreRefused),
        (404, StoreConflict),
        (409, StoreConflict),
        (422, StoreRefused),
        (429, StoreUnreachable),
        (500, StoreUnreachable),
        (504, StoreUnreachable),
        ("garbage", StoreUnreachable),
        ("http://127.0.0.1:9", StoreUnreachable),
    ],
)
def test_every_answer_is_translated_quietly(case: KubernetesSecretCase, fault: int | str, kind: type[Any]) -> None:
    """The fake quotes the request in its errors; a redirect is not followed."""
    config = case.config()
    armed = ready(config)
    held = armed.read()
    case.cluster.faults.append(fault)
    with raises_quietly(kind, config.full_name):
        write_to(armed, pair(NEW, HELD), held=held, mark=MARK)


def test_an_unknown_token_is_refused(case: KubernetesSecretCase) -> None:
    config = case.config(conn_id=case.connection("unknown"))
    with raises_quietly(StoreRefused, config.full_name):
        ready(config).read()


def test_nothing_is_logged_that_shows_a_value(
    case: KubernetesSecretCase, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client logs each answer at debug level when it decodes it; the base64 form counts as well."""
    monkeypatch.setattr(logging.root.manager, "disable", 0)
    for name in ("kubernetes.client.rest", "urllib3.connectionpool"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        monkeypatch.setattr(logging.getLogger(name), "handlers", [caplog.handler])
        caplog.set_level(logging.DEBUG, name)
    case.core.read_namespaced_secret(NAME, NAMESPACE)
    assert base64.b64encode(HELD.encode()).decode() in caplog.text  # this is what it does
    caplog.clear()
    armed = ready(case.config())
    armed.prove_writable()
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    assert "PATCH" in caplog.text
    forms = [form for value in ALL_VALUES for form in (value, base64.b64encode(value.encode()).decode())]
    assert not [form for form in forms if form in caplog.text]


def test_where_no_dry_run_is_possible_the_proof_says_so(case: KubernetesSecretCase) -> None:
    case.cluster.no_dry_run = True
    proof = ready(case.config()).prove_writable()
    assert not proof.proven
    assert "admission webhook may not support" in proof.detail
    case.remove()
    assert ready(case.config(create=True)).read().current is None


def test_an_immutable_secret_is_refused_beforehand(case: KubernetesSecretCase) -> None:
    case.put_bytes({KEY: HELD.encode()}, immutable=True)
    config = case.config()
    with raises_quietly(StoreRefused, config.full_name):
        ready(config).prove_writable()


@pytest.mark.parametrize(
    "note", ["not json", "[]", "{}", json.dumps({"managed_by": 7}), json.dumps({"managed_by": "us"})]
)
def test_a_foreign_annotation_is_no_mark(case: KubernetesSecretCase, note: str) -> None:
    body = {"metadata": {"annotations": {f"airflow-provider-featurebase/{KEY}": note}}}
    case.core.patch_namespaced_secret(NAME, NAMESPACE, body)
    held = ready(case.config()).read()
    assert (held.mark, held.finished) == (None, True)


@pytest.mark.parametrize("key", [".env", "k" * 253])
def test_a_key_that_makes_no_annotation_name_is_marked_all_the_same(case: KubernetesSecretCase, key: str) -> None:
    armed = ready(case.config(key=key, previous_key=None, create=True))
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert armed.read().mark == MARK


def test_two_keys_of_one_secret_do_not_lose_each_others_value(case: KubernetesSecretCase) -> None:
    """Two webhooks in one Secret: whoever writes second reads again and keeps the first one's key and mark."""
    first, second = ready(case.config()), ready(case.config(key="SECOND", previous_key=None, create=True))
    held = second.read()
    write_to(first, pair(NEW, HELD), held=first.read(), mark=MARK)
    assert converge(second, SigningSecret(THEIRS), rule(), held=held) is True
    assert first.read().current == SigningSecret(NEW)
    assert first.read().mark == MARK
    assert second.read().current == SigningSecret(THEIRS)
