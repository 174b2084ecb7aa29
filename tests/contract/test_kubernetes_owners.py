"""Secrets that another program writes too: found by the signs it leaves, refused before a refresh, and no later."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.one_store import WriteRule
from tests.contract.kubernetes_secret_cases import KEY, NAME, NAMESPACE, KubernetesSecretCase
from tests.contract.store_case import HELD, NEW

if TYPE_CHECKING:
    from collections.abc import Iterator

GIT = {"argocd.argoproj.io/tracking-id": f"shop:/Secret:{NAMESPACE}/{NAME}"}
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


def owned_by(kind: str, version: str, **facts: Any) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": kind, "apiVersion": version, "name": "app", "uid": "1", **facts}]}


def applied(manager: str, key: str, operation: str = "Apply") -> dict[str, Any]:
    fields = {"f:data": {".": {}, f"f:{key}": {}}}
    return {"managedFields": [{"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}]}


SIGNS = {
    "eso-owner": (owned_by("ExternalSecret", "external-secrets.io/v1"), "ExternalSecret feedback/app", "refresh"),
    "eso-merged": ({"annotations": {"reconcile.external-secrets.io/data-hash": "1"}}, "External Secrets", "refresh"),
    "eso-label": ({"labels": {"reconcile.external-secrets.io/created-by": "1"}}, "External Secrets", "refresh"),
    "eso-orphan": ({"labels": {"reconcile.external-secrets.io/managed": "true"}}, "External Secrets", "refresh"),
    "vso-owner": (
        owned_by("VaultStaticSecret", "secrets.hashicorp.com/v1beta1"),
        "VaultStaticSecret feedback/app",
        "hashicorp_vault",
    ),
    "vso-label": ({"labels": {"app.kubernetes.io/managed-by": "hashicorp-vso"}}, "Vault Secrets Operator", "refresh"),
    "vso-dynamic": (owned_by("VaultDynamicSecret", "secrets.hashicorp.com/v1beta1"), "feedback/app", "another Secret"),
    "sealed-owner": (owned_by("SealedSecret", "bitnami.com/v1alpha1", controller=True), "feedback/app", "seal the new"),
    "sealed-annotation": ({"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}, "Sealed Secrets", "seal"),
    "helm": ({"annotations": {"meta.helm.sh/release-name": "feedback"}}, "the Helm release feedback", "the chart"),
    "helm-label": ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm", "the chart"),
    "argo": ({"annotations": GIT}, "Argo CD's application shop", "the application"),
    "argo-label": (
        {"labels": {"argocd.argoproj.io/instance": "shop"}},
        "Argo CD's application shop",
        "the application",
    ),
    "argo-with-a-chart": (
        {"annotations": GIT, "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "Argo CD's application shop",
        "ignored",
    ),
    "flux": ({"labels": FLUX}, "Flux's Kustomization flux-system/apps", "IfNotPresent"),
    "flux-helm": ({"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}, "Flux's HelmRelease shop", "the chart"),
    "reflector": (
        {"annotations": {"reflector.v1.k8s.emberstack.com/reflects": "base/secret"}},
        "from base/secret",
        "copied from",
    ),
    "replicator": (
        {"annotations": {"replicator.v1.mittwald.de/replicate-from": "base/secret"}},
        "from base/secret",
        "copied from",
    ),
    "kubed": ({"annotations": {"kubed.appscode.com/origin": "{}"}}, "kubed", "copied from"),
    "csi": ({"labels": {"secrets-store.csi.k8s.io/managed": "true"}}, "Secrets Store CSI", "the store that it mounts"),
    "cert-manager": ({"annotations": {"cert-manager.io/certificate-name": "tls"}}, "cert-manager, for tls", "another"),
    "1password": (owned_by("OnePasswordItem", "onepassword.com/v1"), "OnePasswordItem feedback/app", "1Password"),
    "any-controller": (owned_by("DopplerSecret", "x/v1", controller=True), r"DopplerSecret app \(x/v1\)", "from"),
    "applied": (applied("terraform", KEY), "terraform, by server-side apply of the key", "what terraform applies"),
}
NO_SIGNS = {
    "nothing": {},
    "a-source-of-copies": {"annotations": {"reflector.v1.k8s.emberstack.com/reflection-allowed": "true"}},
    "a-copied-tracking-id": {
        "annotations": {"argocd.argoproj.io/tracking-id": "shop:external-secrets.io/ExternalSecret:feedback/app"}
    },
    "flux-told-to-leave-it": {"labels": FLUX, "annotations": {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}},
    "flux-suspended-for-it": {"labels": FLUX, "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}},
    "another-key-applied": applied("terraform", "OTHER"),
    "our-key-written": applied("kubectl-edit", KEY, "Update"),
    "empty-facts": {"labels": None, "annotations": None, "ownerReferences": None, "managedFields": None},
}
DOUBTS = {
    "a-label": ({"labels": {"app.kubernetes.io/managed-by": "pulumi"}}, "pulumi"),
    "argo-by-label": ({"labels": {"app.kubernetes.io/instance": "shop"}}, "some Argo CDs"),
    "kubectl-apply": (
        {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": {KEY: "x"}})}},
        "kubectl apply",
    ),
    "garbage-collected": (owned_by("ConfigMap", "v1"), "deleted with its owner ConfigMap app"),
}


@pytest.fixture
def case() -> Iterator[KubernetesSecretCase]:
    built = KubernetesSecretCase()
    built.put(HELD)
    yield built
    built.close()


def sign(case: KubernetesSecretCase, facts: dict[str, Any]) -> None:
    """As the other program, leave its signs. (The API server alone writes some of them, such as managedFields.)"""
    case.cluster.objects["secrets", NAMESPACE, NAME]["metadata"].update(facts)


def rule() -> WriteRule:
    return WriteRule("507f1f77bcf86cd799439011", "here", frozenset({SigningSecret(HELD).fingerprint}))


@pytest.mark.parametrize(("facts", "who", "instead"), SIGNS.values(), ids=SIGNS)
def test_preflight_refuses_and_says_where_to_write(
    case: KubernetesSecretCase, facts: dict[str, Any], who: str, instead: str
) -> None:
    sign(case, facts)
    (checked,) = check_stores([case.config()], rule(), current=SigningSecret(HELD).fingerprint)
    assert isinstance(checked.problem, StoreRefused)
    with pytest.raises(StoreRefused, match=f"{who}.* writes this Secret too.*{instead}.*shared: true"):
        raise checked.problem
    assert checked.holding == "matches"
    (shared,) = check_stores([case.config(shared=True)], rule(), current=SigningSecret(HELD).fingerprint)
    assert shared.problem is None
    assert shared.writability is not None
    assert (shared.writability.proven, shared.writability.warning) == (True, "")


@pytest.mark.parametrize("facts", NO_SIGNS.values(), ids=NO_SIGNS)
def test_what_is_no_owner_is_left_in_peace(case: KubernetesSecretCase, facts: dict[str, Any]) -> None:
    sign(case, facts)
    (checked,) = check_stores([case.config()], rule(), current=SigningSecret(HELD).fingerprint)
    assert (checked.problem, checked.writability and checked.writability.warning) == (None, "")


@pytest.mark.parametrize(("facts", "words"), DOUBTS.values(), ids=DOUBTS)
def test_what_may_be_an_owner_is_a_warning(case: KubernetesSecretCase, facts: dict[str, Any], words: str) -> None:
    sign(case, facts)
    (checked,) = check_stores([case.config()], rule(), current=SigningSecret(HELD).fingerprint)
    assert checked.writability is not None
    assert (checked.problem, checked.writability.proven) == (None, True)
    assert words in checked.writability.warning


def test_nothing_is_refreshed_for_it_and_what_was_refreshed_is_written(case: KubernetesSecretCase) -> None:
    """An owner that came after preflight holds a refresh back; in an emergency and after a refresh, it does not."""
    sign(case, {"annotations": GIT})
    with arming([case.config()]) as stores:
        (problem,) = stores.owned().values()
        assert "shop writes this Secret too" in str(problem)
        (outcome,) = distribute(stores, SigningSecret(NEW), rule(), since=None).values()
    assert outcome.result == "written"
    assert base64.b64decode(case.secret().data[KEY]).decode() == NEW
