"""What only Vault has: logins, metadata, deleted versions, other engines; against a real OpenBao server."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

import pytest
import requests
from hvac import Client
from hvac.exceptions import InvalidPath

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.one_store import WriteRule
from tests.contract.hashicorp_vault_cases import KEY, PREVIOUS_KEY, VaultKv1Case, VaultKv2Case
from tests.contract.store_case import HELD, NEW, ready, write_to
from tests.contract.test_store_conformance import MARK, pair
from tests.servers.openbao import ROOT, admin, openbao, token_for
from tests.world.converge import converge


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
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    metadata = kv2.evidence()[0]["custom_metadata"]
    assert metadata["owner"] == "feedback-team"
    assert metadata["featurebase-webhook-id"] == MARK.webhook_id


def test_a_deleted_secret_is_absent_and_can_be_created_again(kv2):
    kv2.put(HELD)
    kv2.remove()
    armed = ready(kv2.config(create=True))
    held = armed.read()
    assert held.current is None
    assert "version 1 was deleted" in armed.prove_writable().detail
    write_to(armed, pair(NEW), held=held, mark=MARK)
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
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
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
            write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
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
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert kv1.seen().others == before.others
    assert set(kv1.evidence()) & {KEY, "SIGNING_PREVIOUS"} == {KEY}
    kv1.remove()
    with pytest.raises(InvalidPath):
        kv1.kv.read_secret(kv1.path, mount_point=kv1.mount)
    kv1.close()


NEIGHBOURS = (
    '"nothing":null,"price":1.10,"large":12345678901234567890123,"exponent":1E5,"minus":-0.0,"markup":"<&>",'
    '"deep":{"nothing":null,"price":1.10,"large":12345678901234567890123},"list":[null,1.10,true]'
)


def spelled(answer):
    """JSON with each number as it is spelled."""
    return json.loads(answer.text, parse_int=str, parse_float=str)["data"]


def test_neighbours_are_spelled_as_before():
    """Null, numbers with a zero at the end and numbers of many digits, which Python would not write again alike."""
    kv1, headers = VaultKv1Case(), {"X-Vault-Token": ROOT}
    url = f"{openbao()}/v1/{kv1.mount}/{kv1.path}"
    for held in ("", f'"{KEY}":"{HELD}",', f'"{KEY}":"{HELD}","{PREVIOUS_KEY}":"whsec_older",'):
        requests.post(url, f"{{{held}{NEIGHBOURS}}}", headers=headers, timeout=60).raise_for_status()
        before = spelled(requests.get(url, headers=headers, timeout=60))
        armed = ready(kv1.config(create=True))
        for wanted in (pair(NEW, HELD), pair(NEW)):
            write_to(armed, wanted, held=armed.read(), mark=MARK)
            after = spelled(requests.get(url, headers=headers, timeout=60))
            ours = {key: after.pop(key) for key in (KEY, PREVIOUS_KEY) if key in after}
            assert ours == {KEY: NEW} | ({PREVIOUS_KEY: HELD} if wanted.previous else {})
            assert after == {key: value for key, value in before.items() if key not in (KEY, PREVIOUS_KEY)}
            assert (after["nothing"], after["price"]) == (None, "1.10")
    kv1.close()


def test_readers_see_neighbours_of_version_2_as_before(kv2):
    """Vault itself shows large numbers rounded there, before a patch and after it."""
    headers = {"X-Vault-Token": ROOT}
    url = f"{openbao()}/v1/{kv2.mount}/data/{kv2.path}"
    body = f'{{"data":{{"{KEY}":"{HELD}",{NEIGHBOURS}}}}}'
    requests.post(url, body, headers=headers, timeout=60).raise_for_status()
    before = spelled(requests.get(url, headers=headers, timeout=60))["data"]
    armed = ready(kv2.config())
    for wanted in (pair(NEW, HELD), pair(NEW)):
        write_to(armed, wanted, held=armed.read(), mark=MARK)
    after = spelled(requests.get(url, headers=headers, timeout=60))["data"]
    assert after == {**before, KEY: NEW}
    assert after["deep"]["nothing"] is None


@pytest.mark.parametrize(
    ("mount", "prefix", "right"),
    [
        ("secret/data", "", "mount: secret, path: {path}"),
        ("secret/data/apps", "", "mount: secret, path: apps/{path}"),
        ("secret/apps", "", "mount: secret, path: apps/{path}"),
        ("secret", "data/", "path: {path}"),
        ("secret", "metadata/", "path: {path}"),
        ("secret", "secret/", "path: {path}"),
        ("secret", "secret/data/", "path: {path}"),
        ("team", "kv/", "mount: team/kv, path: {path}"),
        ("team", "kv/data/", "mount: team/kv, path: {path}"),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_path_of_the_api_is_refused_with_the_right_configuration(kv2, mount, prefix, right, create):
    """Taken as a secret's name, it would be proven and written where no receiver reads."""
    if "team/kv/" not in kv2.admin.sys.list_mounted_secrets_engines()["data"]:
        kv2.admin.sys.enable_secrets_engine("kv", path="team/kv", options={"version": "2"})
    path = kv2.path
    kv2.put(HELD)
    config = kv2.config(conn_id=kv2.connection(ROOT), mount=mount, path=f"{prefix}{path}", create=create)
    with pytest.raises(StoreRefused) as caught:
        ready(config).prove_writable()
    assert right.format(path=path) in str(caught.value)
    if mount == "secret":
        armed = ready(config)
        assert not armed.read().may_be_made
        with pytest.raises(StoreRefused, match="looks like a path"):
            write_to(armed, pair(NEW), held=armed.read(), mark=MARK)


@pytest.mark.parametrize("case", [VaultKv1Case, VaultKv2Case])
def test_a_secret_that_has_such_a_name_is_written_with_a_warning(case):
    built = case()
    built.path = f"{built.mount}/{built.path}"
    built.put(HELD)
    armed = ready(built.config(conn_id=built.connection(ROOT)))
    assert built.path in armed.prove_writable().warning
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert built.seen().current == NEW
    built.close()


def test_a_mount_in_a_namespace(kv2):
    """The namespace may stand in the connection or before the mount."""
    requests.post(f"{openbao()}/v1/sys/namespaces/team-a", json={}, headers={"X-Vault-Token": ROOT}, timeout=60)
    inside = Client(openbao(), ROOT, namespace="team-a")
    if "apps/" not in inside.sys.list_mounted_secrets_engines()["data"]:
        inside.sys.enable_secrets_engine("kv", path="apps", options={"version": "2"})
    inside.secrets.kv.v2.create_or_update_secret(kv2.path, {KEY: HELD}, mount_point="apps")
    named = kv2.connection(ROOT, extra={"client_kwargs": {"namespace": "team-a"}})
    for conn_id, mount in ((named, "apps"), (kv2.connection(ROOT), "team-a/apps")):
        armed = ready(kv2.config(conn_id=conn_id, mount=mount))
        assert armed.prove_writable().proven
        write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    with pytest.raises(StoreRefused, match="namespace is team-a"):
        ready(kv2.config(conn_id=named, mount="elsewhere"))
    with pytest.raises(StoreRefused, match="mount: apps, path: "):
        ready(kv2.config(conn_id=named, mount="apps/data"))


def test_how_long_versions_last_is_read_where_the_token_may(kv2):
    """Of a secret that is still to be made, Vault's settings tell."""
    policy = kv2.policy(creates=True)
    kv2.kv.update_metadata(kv2.path, mount_point=kv2.mount, delete_version_after="720h")
    config, blind = (
        kv2.config(create=True, conn_id=kv2.connection(token_for(rights)))
        for rights in (policy, policy.replace('["read", "patch"]', '["patch"]'))
    )
    (end,) = re.findall(r"one of now at (\S+)", ready(config).prove_writable().warning)
    assert timedelta(days=29) < datetime.fromisoformat(end) - datetime.now(timezone.utc) <= timedelta(days=30)
    assert not ready(blind).prove_writable().warning


def test_what_only_a_warning_hangs_on_may_be_refused(kv2):
    """The token has the capability, and its policy wants the answer wrapped."""
    kv2.put(HELD)
    policy = (
        kv2.policy()
        + f"""
        path "secret/metadata/{kv2.path}" {{ capabilities = ["read", "patch"] min_wrapping_ttl = "1m" }}"""
    )
    armed = ready(kv2.config(conn_id=kv2.connection(token_for(policy))))
    with pytest.raises(StoreRefused):
        armed._look(f"metadata/{kv2.path}")
    assert armed.prove_writable().proven


def test_what_a_policy_says_of_parameters_is_found_by_the_trial(kv2):
    """Capabilities alone look fine."""
    kv2.put(HELD)
    before = kv2.evidence()
    token = token_for(
        f'path "secret/data/{kv2.path}" {{ capabilities = ["read", "patch"] denied_parameters = {{ "options" = [] }} }}'
    )
    with pytest.raises(StoreRefused, match="trial"):
        ready(kv2.config(conn_id=kv2.connection(token))).prove_writable()
    assert kv2.evidence() == before


def test_a_mount_that_insists_on_check_and_set_takes_the_write(kv2):
    kv2.put(HELD)
    kv2.kv.update_metadata(kv2.path, mount_point=kv2.mount, cas_required=True, max_versions=1)
    armed = ready(kv2.config())
    assert armed.prove_writable().proven
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    assert kv2.seen().current == NEW
