"""The configuration of the store hashicorp_vault, and answers that no healthy server gives."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timezone

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.hashicorp_vault import HashicorpVaultStore
from tests.contract.store_case import ready, write_to
from tests.servers.canned_http import canned_http
from tests.world.recipes import recipe

HELD, NEW = "whsec_held_0123456789", "whsec_new_0123456789"
MOUNT = {"data": {"type": "kv", "options": {"version": "2"}}}
DATA = "/v1/secret/data/apps/feedback"


def store(**changes):
    return HashicorpVaultStore(**{"path": "apps/feedback", "key": "SIGNING", **changes})


@pytest.fixture
def vault(monkeypatch):
    """A server that knows the token and the mount."""
    with canned_http() as server:
        server.answer("GET /v1/auth/token/lookup-self", 200, {"data": {}})
        server.answer("GET /v1/sys/internal/ui/mounts/secret/apps/feedback", 200, MOUNT)
        host, _, port = server.url.removeprefix("http://").partition(":")
        connection = {"conn_type": "vault", "host": host, "port": int(port), "password": "a-token"}
        monkeypatch.setenv("AIRFLOW_CONN_VAULT_DEFAULT", json.dumps(connection))
        yield server


def connect(monkeypatch, **fields):
    connection = {"conn_type": "vault", "host": "127.0.0.1", "port": 1, "password": "a-token", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_DEFAULT", json.dumps(connection))


def test_target_names_connection_path_and_key():
    assert store().target == "vault://vault_default@secret/apps/feedback#SIGNING"
    assert not store().keeps_previous
    documented = HashicorpVaultStore(**recipe("hashicorp_vault.md", "Configuration"))
    assert documented.target == "vault://vault_default@secret/apps/feedback#FEATUREBASE_WEBHOOK_SECRET"
    assert store(previous_key="OLD").keeps_previous


@pytest.mark.parametrize("path", ["/a", "a/", "a//b", "../a", "a/./b"])
@pytest.mark.parametrize("field", ["path", "mount"])
def test_paths_that_lead_elsewhere_are_refused(field, path):
    with pytest.raises(ValidationError, match="team/feedback"):
        store(**{field: path})


@pytest.mark.parametrize("path", ["a?b", "a#b", "a%2fb", "a*", "+/a", "a\nb"])
def test_paths_that_vault_cannot_name_are_refused(path):
    with pytest.raises(ValidationError, match="Vault's API cannot name"):
        store(path=path)


def test_the_keys_must_differ():
    with pytest.raises(ValidationError, match="must differ"):
        store(previous_key="SIGNING")


@pytest.mark.parametrize("version", [0, 3, "2"])
def test_there_are_two_kv_versions(version):
    with pytest.raises(ValidationError):
        store(kv_version=version)


def test_a_missing_hook_names_the_extra(monkeypatch):
    connect(monkeypatch)
    monkeypatch.setitem(sys.modules, "airflow.providers.hashicorp.hooks.vault", None)
    with pytest.raises(StoreUnusable, match=r"airflow-provider-featurebase\[hashicorp_vault\]"):
        ready(store())


@pytest.mark.parametrize(
    "fields",
    [{"password": ""}, {"extra": {"auth_type": "magic"}}, {"extra": {"auth_type": "kubernetes"}}, {"conn_type": "ftp"}],
    ids=["no token", "unknown auth", "no role", "no vault"],
)
def test_a_connection_that_makes_no_client(monkeypatch, fields):
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    connect(monkeypatch, **fields)
    with pytest.raises(StoreUnusable, match="makes no Vault client"):
        ready(store())


def test_plain_http_to_another_host_is_refused(monkeypatch):
    """Nothing is sent: neither the token nor, later, the secret."""
    connect(monkeypatch, host="vault.example.com")
    with pytest.raises(StoreUnusable, match="plain http.*use_tls"):
        ready(store())


def test_plain_http_can_be_allowed(monkeypatch):
    """Then the request is made; here nobody listens."""
    connect(monkeypatch, host="127.0.0.1.nip.invalid")
    with pytest.raises(StoreUnreachable, match="login"):
        ready(store(allow_unencrypted=True, timeout=0.5))


def test_tls_settings_of_the_connection_are_used(monkeypatch):
    """The session that replaces the hook's takes over its certificates and proxies."""
    options = {"verify": "/etc/ca.pem", "cert": ["/a.pem", "/a.key"], "proxies": {"https": "http://127.0.0.1:3128"}}
    connect(monkeypatch, extra={"use_tls": True, "client_kwargs": options})
    session = store(timeout=3)._hook().vault_client.kwargs["session"]
    assert session.verify == "/etc/ca.pem"
    assert session.cert == ("/a.pem", "/a.key")  # a pair, as requests wants it
    assert session.proxies == options["proxies"]


def test_verification_stays_on_if_nothing_is_said(monkeypatch):
    connect(monkeypatch, extra={"use_tls": True})
    options = store(timeout=3)._hook().vault_client.kwargs
    assert options["session"].verify is True
    assert options["timeout"] == 3


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ({"type": "kv", "options": {"version": "1"}}, "kv_version: 1"),
        ({"type": "kv", "options": None}, "kv_version: 1"),
        ({"type": "transit", "options": None}, "no KV engine"),
    ],
)
def test_another_engine_is_refused(vault, mount, said):
    """A KV 2 path on a KV 1 mount would be a secret of another name."""
    vault.answer("GET /v1/sys/internal/ui/mounts/secret/apps/feedback", 200, {"data": mount})
    with pytest.raises(StoreRefused, match=said):
        ready(store())


@pytest.mark.parametrize("status", [412, 429, 472, 500, 502, 503, 504])
def test_a_server_in_trouble_is_unreachable(vault, status):
    """Sealed, on standby, overloaded: a later try may end well."""
    vault.answer(f"GET {DATA}", status, {"errors": [f"quotes {HELD}"]})
    with pytest.raises(StoreUnreachable) as caught:
        ready(store()).read()
    assert HELD not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, "<html>log in</html>"), (204, ""), (200, {"data": None}), (200, {"data": {"data": {}}}), (200, [1])],
)
def test_an_answer_that_is_not_vaults(vault, status, body):
    vault.answer(f"GET {DATA}", status, body)
    with pytest.raises(StoreUnreachable, match="leads to a Vault server"):
        ready(store()).read()


def test_a_404_that_is_not_vaults_is_no_absence(vault):
    vault.answer(f"GET {DATA}", 404, "<html>no such page</html>")
    with pytest.raises(StoreRefused):
        ready(store(create=True)).read()


def test_a_refused_login(vault):
    vault.answer("GET /v1/sys/internal/ui/mounts/secret/apps/feedback", 403, {"errors": ["permission denied"]})
    with pytest.raises(StoreRefused, match="Check mount and policy"):
        ready(store())


def test_a_refused_write_is_told_from_a_conflict(vault):
    """Vault answers 400 to both; the version tells which it was."""
    answer = {"data": {"data": {"SIGNING": HELD}, "metadata": {"version": 4, "custom_metadata": None}}}
    vault.answer(f"GET {DATA}", 200, answer)
    vault.answer(f"PATCH {DATA}", 400, {"errors": [f"quotes {NEW}"]})
    armed = ready(store())
    with pytest.raises(StoreRefused, match=r"Allow read and patch on secret/data/apps/feedback") as caught:
        write_to(armed, SecretPair(SigningSecret(NEW)), held=armed.read(), mark=StoreMark("id", "sha256:1", "here"))
    assert NEW not in str(caught.value)


def test_a_lost_mark_costs_nothing(vault):
    """The value is in place when the mark is left."""
    answer = {"data": {"data": {"SIGNING": HELD}, "metadata": {"version": 4, "custom_metadata": None}}}
    vault.answer(f"GET {DATA}", 200, answer)
    vault.answer(f"PATCH {DATA}", 200, {"data": {"version": 5}})
    vault.answer("PATCH /v1/secret/metadata/apps/feedback", 403, {"errors": ["permission denied"]})
    armed = ready(store())
    write_to(armed, SecretPair(SigningSecret(NEW)), held=armed.read(), mark=StoreMark("id", "sha256:1", "here"))
    request, headers, body = vault.requests[-2]
    assert request == f"PATCH {DATA}"
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert json.loads(body) == {"options": {"cas": 4}, "data": {"SIGNING": NEW}}


HELD_ANSWER = {"data": {"data": {"SIGNING": HELD}, "metadata": {"version": 4, "custom_metadata": None}}}


@pytest.mark.parametrize(
    ("said", "proven"),
    [("check-and-set parameter did not match the current version", True), (f"no such field {NEW}", False)],
)
def test_a_trial_proves_what_capabilities_cannot(vault, said, proven):
    """A token that may not ask for them can still send a write that only its version keeps from happening."""
    vault.answer(f"GET {DATA}", 200, HELD_ANSWER)
    vault.answer("POST /v1/sys/capabilities-self", 403, {"errors": ["permission denied"]})
    vault.answer(f"PATCH {DATA}", 400, {"errors": [said]})
    armed = ready(store())
    if proven:
        assert armed.prove_writable().proven
    else:
        with pytest.raises(StoreRefused, match="trial"):
            armed.prove_writable()
    sent = [json.loads(body) for request, _, body in vault.requests if request == f"PATCH {DATA}"]
    assert [one["options"] for one in sent] == [{"cas": 2**31 - 1}]


def test_version_1_proves_nothing_without_capabilities(vault):
    vault.answer("GET /v1/sys/internal/ui/mounts/secret/apps/feedback", 200, {"data": {"type": "kv"}})
    vault.answer("GET /v1/secret/apps/feedback", 200, {"data": {"SIGNING": HELD}})
    vault.answer("POST /v1/sys/capabilities-self", 403, {"errors": ["permission denied"]})
    proof = ready(store(kv_version=1)).prove_writable()
    assert not proof.proven
    assert "capabilities-self" in proof.detail


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [("720h0m0s", 2592000), ("1h30m1.5s", 5401.5), ("500ms", None), ("0s", None), ("-1s", None)],
)
def test_how_long_versions_last_by_vaults_settings(vault, settings, seconds):
    vault.answer(f"GET {DATA}", 200, HELD_ANSWER)
    vault.answer("GET /v1/secret/config", 200, {"data": {"delete_version_after": settings}})
    vault.answer(f"PATCH {DATA}", 400, {"errors": ["check-and-set parameter did not match the current version"]})
    paths = (f"secret/{part}" for part in ("data/apps/feedback", "metadata/apps/feedback", "config"))
    rights = dict.fromkeys(paths, ["read", "patch"])
    vault.answer("POST /v1/sys/capabilities-self", 200, {"data": rights})
    warning = ready(store()).prove_writable().warning
    ends = [datetime.fromisoformat(end) for end in re.findall(r"one of now at (\S+)", warning)]
    lasting = [(end - datetime.now(timezone.utc)).total_seconds() for end in ends]
    assert lasting == ([pytest.approx(seconds, abs=60)] if seconds else [])


@pytest.mark.parametrize("body", ["", "[]", {"data": None}, {"data": [1]}, {"data": {"a": 1}, "x": float("inf")}])
def test_an_answer_that_is_not_that_of_version_1(vault, body):
    vault.answer("GET /v1/sys/internal/ui/mounts/secret/apps/feedback", 200, {"data": {"type": "kv"}})
    vault.answer("GET /v1/secret/apps/feedback", 200, body)
    armed = ready(store(kv_version=1))
    if body and "x" in body:
        assert armed.read().current is None
    else:
        with pytest.raises(StoreUnreachable, match="leads to a Vault server"):
            armed.read()
