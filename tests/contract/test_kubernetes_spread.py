"""Restarts of several workloads one after another, and what preflight says of what can't be tried."""

from __future__ import annotations

import base64
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable
from featurebase_provider.stores.kubernetes_secret import KubernetesSecretStore
from tests.contract.kubernetes_secret_cases import KEY, NAME, NAMESPACE, KubernetesSecretCase
from tests.contract.store_case import HELD, NEW, ready, write_to
from tests.contract.test_kubernetes_secret import APP, has_workloads, restarts, rule
from tests.contract.test_store_conformance import MARK, pair, raises_saying
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = {"kind": "StatefulSet", "name": "feedback"}


@pytest.fixture
def case() -> Iterator[KubernetesSecretCase]:
    built = KubernetesSecretCase()
    built.cluster.rules["rotation"] = None
    built.put(HELD)
    has_workloads(built, "Deployment", "StatefulSet")
    yield built
    built.close()


def restarted(case: KubernetesSecretCase) -> dict[str, datetime]:
    return {kind: datetime.fromisoformat(at) for kind, (_, at) in restarts(case).items() if at}


def test_a_rotation_restarts_the_first_and_a_push_the_others_in_time(case: KubernetesSecretCase) -> None:
    config = case.config(restart=[APP, SECOND], spread="PT2S")
    armed = ready(config)
    began = time.monotonic()
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    assert time.monotonic() - began < 2
    assert list(restarted(case)) == ["deployments"]
    pushing = ready(config)
    pushing.patience = 10
    assert converge(pushing, SigningSecret(NEW), rule()) is True
    at = restarted(case)
    assert at["statefulsets"] - at["deployments"] == timedelta(seconds=2)
    assert time.monotonic() - began >= 1.9
    assert pushing.read().finished is True
    assert converge(pushing, SigningSecret(NEW), rule()) is False
    assert restarted(case) == at


def test_a_push_that_has_no_time_says_when_the_next_restart_is(case: KubernetesSecretCase) -> None:
    config = case.config(restart=[APP, SECOND], spread="PT10M")
    armed = ready(config)
    armed.patience = 0.1
    held = armed.read()
    words = "holds the new secret, but not every restart has begun: StatefulSet feedback restarts at 20"
    with raises_saying(words, StoreUnreachable, config.full_name):
        write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
    assert armed.read().finished is False


def test_a_note_that_somebody_spoilt_restarts_all(case: KubernetesSecretCase) -> None:
    armed = ready(case.config(restart=[APP, SECOND], spread="PT10M"))
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    body = {"metadata": {"annotations": {f"airflow-provider-featurebase/{KEY}": '{"restart_due": "soon"}'}}}
    case.core.patch_namespaced_secret(NAME, NAMESPACE, body)
    assert converge(armed, SigningSecret(NEW), rule()) is True
    assert (set(restarted(case)), armed.read().finished) == ({"deployments", "statefulsets"}, True)


@pytest.mark.parametrize("spread", ["PT11M", "-PT1S", "30"])
def test_a_wrong_spread_is_refused(spread: str) -> None:
    with pytest.raises(ValidationError):
        KubernetesSecretStore(namespace=NAMESPACE, name=NAME, spread=spread)


@pytest.mark.parametrize("dry", [True, False])
def test_a_secret_that_would_be_too_large_is_found_beforehand(case: KubernetesSecretCase, dry: bool) -> None:
    """Where the API server can try the write, and where it can't; the last that fits is taken."""
    case.cluster.no_dry_run = not dry
    armed, config = ready(case.config(previous_key=None)), case.config()
    room = 1024 * 1024 - len(armed.trial.reveal()) - len(b"\xff\x00")  # beside the key OTHER of each case
    case.put_bytes({KEY: HELD.encode(), "MORE": b"m" * room})
    assert armed.prove_writable().proven is dry
    with raises_saying("1048576 is the most", StoreRefused, config.full_name):
        ready(config).prove_writable()


def test_what_could_not_be_tried_is_named(case: KubernetesSecretCase) -> None:
    case.cluster.no_dry_run = True
    proof: Any = ready(case.config(restart=[APP])).prove_writable()
    assert not proof.proven
    assert "not provable: " in proof.detail
    for untried in (f"patch Secret {NAME}", "patch Deployment feedback"):
        assert untried in proof.detail


def test_the_trial_is_as_large_as_the_write(case: KubernetesSecretCase) -> None:
    """Its mark too, beside which annotations may be nearly full."""
    sent: list[Any] = []
    real = case.cluster._carry_out

    def carry_out(verb: str, key: Any, content_type: str, body: Any) -> Any:
        sent.append(body)
        return real(verb, key, content_type, body)

    case.cluster._carry_out = carry_out  # type: ignore[method-assign]
    armed = ready(case.config())
    armed.trial = SigningSecret("whsec_" + "x" * 58)
    armed.prove_writable()
    tried = [body for body in sent if body]
    assert {len(base64.b64decode(body["data"][KEY])) for body in tried} >= {64}
    assert all(
        "managed_from" in body["metadata"]["annotations"][f"airflow-provider-featurebase/{KEY}"] for body in tried
    )
