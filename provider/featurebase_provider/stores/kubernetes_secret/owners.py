"""Who else writes a Kubernetes Secret: what operators and delivery tools leave on the Secrets that they keep.

Each sign is one that its tool documents, or sets by a constant that its source documents:

- External Secrets Operator: https://external-secrets.io/latest/guides/ownership-deletion-policy/, and the constants
  beside ``ExternalSecret`` in ``apis/externalsecrets/v1`` of github.com/external-secrets/external-secrets
- Vault Secrets Operator: https://developer.hashicorp.com/vault/docs/deploy/kubernetes/vso, and ``OwnerLabels`` in
  ``helpers/secrets.go`` of github.com/hashicorp/vault-secrets-operator
- Sealed Secrets: https://github.com/bitnami-labs/sealed-secrets#managing-existing-secrets
- Argo CD: https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/
- Flux: https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
- Helm: https://helm.sh/docs/chart_best_practices/labels/
- copies: https://github.com/emberstack/kubernetes-reflector, https://github.com/mittwald/kubernetes-replicator,
  https://github.com/appscode/kubed
- Secrets Store CSI driver: https://secrets-store-csi-driver.sigs.k8s.io/topics/sync-as-kubernetes-secret
- cert-manager: https://cert-manager.io/docs/reference/annotations/
- 1Password: https://github.com/1Password/onepassword-operator
- server-side apply: https://kubernetes.io/docs/reference/using-api/server-side-apply/
- other labels: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KINDS = {
    "ExternalSecret": "write the store that its secretStoreRef and remoteRef name, and name it there under refresh",
    "VaultStaticSecret": "write the Vault path of its spec as type hashicorp_vault, and name it there under refresh",
    "VaultDynamicSecret": "such a secret can't hold a value of ours: name another Secret",
    "VaultPKISecret": "such a secret can't hold a value of ours: name another Secret",
    "HCPVaultSecretsApp": "write the application in HCP Vault Secrets that it reads",
    "SealedSecret": "seal the new secret and apply it, or keep the value in a Secret of its own that is not sealed",
    "OnePasswordItem": "write the item in 1Password that it reads",
    "Certificate": "name another Secret: cert-manager writes this one with each certificate",
}
"""Kinds of owners that write the Secret that they own, and where to write instead."""

_FROM_GIT = "take the Secret out of {it}, or have the key ignored there"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who puts its own value into a Secret.

    :param who: the program, or its object, with its name.
    :param instead: where to write instead.
    """

    who: str
    instead: str


@dataclass(frozen=True, slots=True)
class _Sign:
    """A label or annotation that a program leaves on a Secret that it writes.

    :param name: of the label or annotation.
    :param who: with the sign's value as ``{value}``.
    :param value: what it must be; None for any.
    """

    name: str
    who: str
    instead: str
    value: str | None = None

    def found_in(self, texts: Mapping[str, str]) -> Owner | None:
        value = texts.get(self.name)
        if value is None or self.value not in {None, value}:
            return None
        return Owner(self.who.format(value=clean_text(value)), self.instead)


_ESO, _COPY = _KINDS["ExternalSecret"], "write the Secret that it is copied from"
_CHART = _FROM_GIT.format(it="the chart")
_OPERATORS = (
    _Sign("reconcile.external-secrets.io/created-by", "External Secrets Operator", _ESO),
    _Sign("reconcile.external-secrets.io/managed", "External Secrets Operator", _ESO, "true"),
    _Sign("reconcile.external-secrets.io/data-hash", "External Secrets Operator", _ESO),
    _Sign("secrets.hashicorp.com/vso-ownerRefUID", "Vault Secrets Operator", _KINDS["VaultStaticSecret"]),
    _Sign("app.kubernetes.io/managed-by", "Vault Secrets Operator", _KINDS["VaultStaticSecret"], "hashicorp-vso"),
    _Sign("sealedsecrets.bitnami.com/managed", "Sealed Secrets", _KINDS["SealedSecret"], "true"),
    _Sign("sealedsecrets.bitnami.com/patch", "Sealed Secrets", _KINDS["SealedSecret"], "true"),
    _Sign("secrets-store.csi.k8s.io/managed", "the Secrets Store CSI driver", "write the store that it mounts", "true"),
    _Sign("reflector.v1.k8s.emberstack.com/reflects", "Reflector, from {value},", _COPY),
    _Sign("replicator.v1.mittwald.de/replicate-from", "kubernetes-replicator, from {value},", _COPY),
    _Sign("replicator.v1.mittwald.de/replicated-from-version", "kubernetes-replicator", _COPY),
    _Sign("kubed.appscode.com/origin", "kubed (config-syncer)", _COPY),
    _Sign("cert-manager.io/certificate-name", "cert-manager, for {value},", _KINDS["Certificate"]),
    _Sign("operator.1password.io/item-path", "the 1Password operator, from {value},", _KINDS["OnePasswordItem"]),
    _Sign("argocd.argoproj.io/instance", "Argo CD's application {value}", _FROM_GIT.format(it="the application")),
)
_CHARTS = (
    _Sign("helm.toolkit.fluxcd.io/name", "Flux's HelmRelease {value}", _CHART),
    _Sign("meta.helm.sh/release-name", "the Helm release {value}", _CHART),
    _Sign("app.kubernetes.io/managed-by", "Helm", _CHART, "Helm"),
)
"""Looked for last: Argo CD and Flux deliver charts too."""


def owner_of(secret: Mapping[str, Any], key: str) -> Owner | None:
    """Who writes this Secret, or its key, beside us; None where nothing says so.

    :param secret: the Secret as the API server gives it.
    :param key: the key of its data that is ours.
    """
    metadata = secret.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    texts = {**labels, **annotations}
    return (
        _referred(metadata.get("ownerReferences") or (), str(metadata.get("namespace")))
        or _signed(_OPERATORS, texts)
        or _argo(metadata, annotations)
        or _flux(labels, annotations)
        or _signed(_CHARTS, texts)
        or _applied(metadata.get("managedFields") or (), key)
    )


def doubts_about(secret: Mapping[str, Any], key: str) -> list[str]:
    """What else may put another value back, as far as a Secret without an owner shows; for a warning."""
    metadata = secret.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    doubts = []
    if tool := labels.get("app.kubernetes.io/managed-by"):
        doubts.append(f"its label app.kubernetes.io/managed-by names {clean_text(tool)}")
    elif app := labels.get("app.kubernetes.io/instance"):
        doubts.append(
            f"its label app.kubernetes.io/instance names {clean_text(app)}, by which some Argo CDs find theirs"
        )
    if key in _last_applied(annotations):
        doubts.append(f"somebody made its key {key} by kubectl apply, and puts that value back by doing so again")
    doubts += [f"it is deleted with its owner {_named(one)}" for one in metadata.get("ownerReferences") or ()]
    return doubts


def _signed(signs: Iterable[_Sign], texts: Mapping[str, str]) -> Owner | None:
    return next(filter(None, (sign.found_in(texts) for sign in signs)), None)


def _referred(references: Iterable[Any], namespace: str) -> Owner | None:
    for one in references:
        kind = str(one.get("kind"))
        if kind in _KINDS:
            return Owner(f"{kind} {namespace}/{clean_text(str(one.get('name')))}", _KINDS[kind])
        if one.get("controller"):
            return Owner(_named(one), "write what it makes the Secret from")
    return None


def _named(reference: Mapping[str, Any]) -> str:
    return clean_text(f"{reference.get('kind')} {reference.get('name')} ({reference.get('apiVersion')})")


def _argo(metadata: Mapping[str, Any], annotations: Mapping[str, str]) -> Owner | None:
    """Argo CD's application, if the annotation is this Secret's own and did not come with a copied set."""
    app, _, tracked = annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")
    if tracked != f"/Secret:{metadata.get('namespace')}/{metadata.get('name')}":
        return None
    return Owner(f"Argo CD's application {clean_text(app)}", _FROM_GIT.format(it="the application"))


def _flux(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Owner | None:
    """Flux's Kustomization, unless it was told to leave the Secret as it is."""
    group = "kustomize.toolkit.fluxcd.io"
    left_alone = annotations.get(f"{group}/reconcile") == "disabled"
    left_alone |= annotations.get(f"{group}/ssa") in {"Ignore", "IfNotPresent"}
    if left_alone or f"{group}/name" not in labels:
        return None
    name = clean_text(f"{labels.get(f'{group}/namespace')}/{labels[f'{group}/name']}")
    return Owner(f"Flux's Kustomization {name}", f"{_FROM_GIT.format(it='it')} ({group}/ssa: IfNotPresent)")


def _applied(managers: Iterable[Any], key: str) -> Owner | None:
    """Who declares our key by server-side apply, which puts its value back with each apply."""
    for one in managers:
        data = (one.get("fieldsV1") or {}).get("f:data") or {}
        if one.get("operation") == "Apply" and f"f:{key}" in data:
            who = clean_text(str(one.get("manager")))
            return Owner(f"{who}, by server-side apply of the key {key},", f"take the key out of what {who} applies")
    return None


def _last_applied(annotations: Mapping[str, str]) -> set[str]:
    with suppress(KeyError, ValueError, RecursionError, AttributeError, TypeError):
        document = json.loads(annotations["kubectl.kubernetes.io/last-applied-configuration"])
        return {*(document.get("data") or ()), *(document.get("stringData") or ())}
    return set()
