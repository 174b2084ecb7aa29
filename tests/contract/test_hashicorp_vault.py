"""What only Vault has: logins, metadata, deleted versions, other engines; against a real OpenBao server."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from hvac.exceptions import InvalidPath

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.one_store import WriteRule, converge
from tests.contract.hashicorp_vault_cases import KEY, VaultKv1Case, VaultKv2Case
from tests.contract.store_case import HELD, NEW, ready
from tests.contract.test_store_conformance import MARK, pair
from tests.servers.openbao import admin, openbao, token_for


@pytest.fixture
def kv2():
    case = VaultKv2Case()
    yield case
    case.close()


def test_the_engines_version_must_be_the_configured_one(kv2):
    """A KV 1 path on a KV 2 mount, or the other way round, is found out when the store is armed."""
    kv1 = VaultKv1Case()
    with pytest.raises(StoreRefused, match="kv_version: 2"):
        ready(kv2.config(kv_version=1))
    with pytest.raises(StoreRefused, match="kv_version: 1"):
        ready(kv1.config(kv_version=2))
    kv1.close()


def test_a_key_added_by_somebody_else_meanwhile_is_kept(kv2):
    """The write is refused by check-and-set, and repeated on what the other writer left."""
    kv2.put(HELD)
    armed = ready(kv2.config())
    held = armed.read()
    theirs = {**kv2.secret(HELD), "theirs": "kept"}
    kv2.kv.create_or_update_secret(kv2.path, theirs, mount_point=kv2.mount)
    rule = WriteRule(MARK.webhook_id, "here", frozenset({fingerprint_of(HELD)}), keeps_previous=True)
    assert converge(armed, SigningSecret(NEW), rule, held=held)
    seen = kv2.seen()
    assert (seen.current, seen.previous, seen.others[0]["theirs"]) == (NEW, HELD, "kept")


def test_metadata_of_others_is_kept(kv2):
    kv2.put(HELD)
    armed = ready(kv2.config())
    armed.write(pair(NEW), held=armed.read(), mark=MARK)
    metadata = kv2.evidence()[0]["custom_metadata"]
    assert metadata["owner"] == "feedback-team"
    assert metadata["featurebase-webhook-id"] == MARK.webhook_id


def test_a_deleted_secret_is_absent_and_can_be_created_again(kv2):
    kv2.put(HELD)
    kv2.remove()
    armed = ready(kv2.config(create=True))
    held = armed.read()
    assert held.current is None
    assert "update" in armed.prove_writable().detail
    armed.write(pair(NEW), held=held, mark=MARK)
    assert kv2.seen().current == NEW


def test_a_destroyed_version_is_absent(kv2):
    kv2.put(HELD)
    kv2.kv.destroy_secret_versions(kv2.path, [1], mount_point=kv2.mount)
    assert ready(kv2.config()).read().current is None


def test_a_token_without_the_right_to_mark_can_write(kv2):
    """The proof says that the mark will be missing; the write works without."""
    kv2.put(HELD)
    token = token_for(f'path "secret/data/{kv2.path}" {{ capabilities = ["read", "patch"] }}')
    armed = ready(kv2.config(conn_id=kv2.connection(token)))
    proof = armed.prove_writable()
    assert proof.proven
    assert f"allow patch on secret/metadata/{kv2.path}" in proof.detail
    armed.write(pair(NEW), held=armed.read(), mark=MARK)
    held = armed.read()
    assert (held.current, held.mark) == (SigningSecret(NEW), None)


def test_a_token_that_may_update_but_not_patch_is_told_what_it_needs(kv2):
    kv2.put(HELD)
    token = token_for(f'path "secret/data/{kv2.path}" {{ capabilities = ["read", "update"] }}')
    with pytest.raises(StoreRefused, match=f"lacks the capability patch on secret/data/{kv2.path}"):
        ready(kv2.config(conn_id=kv2.connection(token))).prove_writable()


def test_a_token_that_may_not_read_is_refused(kv2):
    kv2.put(HELD)
    token = token_for(f'path "secret/data/{kv2.path}" {{ capabilities = ["patch"] }}')
    with pytest.raises(StoreRefused, match="allow read"):
        ready(kv2.config(conn_id=kv2.connection(token))).read()


def test_a_token_that_is_none_is_refused(kv2):
    with pytest.raises(StoreRefused):
        ready(kv2.config(conn_id=kv2.connection("no-such-token")))


def test_logs_in_by_approle(kv2):
    """Login is the role id, password the secret id; the login happens when the store is armed."""
    kv2.put(HELD)
    client, role = admin(), f"role-{kv2.path.replace('/', '-')}"
    if "approle/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("approle")
    client.sys.create_or_update_policy(role, kv2.policy())
    client.auth.approle.create_or_update_approle(role, token_policies=[role], token_ttl="10m")
    login = client.auth.approle.read_role_id(role)["data"]["role_id"]
    password = client.auth.approle.generate_secret_id(role)["data"]["secret_id"]
    parts = urlsplit(openbao())
    for secret_id, good in ((password, True), ("wrong", False)):
        connection = {
            "conn_type": "vault", "host": parts.hostname, "port": parts.port, "login": login, "password": secret_id,
            "extra": {"auth_type": "approle"},
        }  # fmt: skip
        kv2.patch.setenv("AIRFLOW_CONN_VAULT_APPROLE", json.dumps(connection))
        if good:
            armed = ready(kv2.config(conn_id="vault_approle"))
            armed.write(pair(NEW), held=armed.read(), mark=MARK)
            assert kv2.seen().current == NEW
        else:
            with pytest.raises(StoreRefused, match="login") as caught:
                ready(kv2.config(conn_id="vault_approle"))
            assert "wrong" not in str(caught.value)


def test_kv1_drops_nothing_but_its_own_keys():
    kv1 = VaultKv1Case()
    kv1.put(HELD, "whsec_older")
    armed = ready(kv1.config())
    before = kv1.seen()
    armed.write(pair(NEW), held=armed.read(), mark=MARK)
    assert kv1.seen().others == before.others
    assert set(kv1.evidence()) & {KEY, "SIGNING_PREVIOUS"} == {KEY}
    kv1.remove()
    with pytest.raises(InvalidPath):
        kv1.kv.read_secret(kv1.path, mount_point=kv1.mount)
    kv1.close()
