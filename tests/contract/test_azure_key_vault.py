"""The store azure_key_vault: its configuration, its login, and what the conformance suite does not ask."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.one_store import WriteRule, is_ours
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.azure_key_vault import AzureKeyVaultStore
from featurebase_provider.stores.azure_key_vault.credentials import azure_credential
from tests.contract.store_case import ready, write_to
from tests.servers.key_vault_api import ALL, CLIENT_SECRET, ROTATION, TENANT, fake_key_vault
from tests.servers.tls_hosts import Answer
from tests.world.converge import converge

HELD, NEW, THEIRS = "whsec_held_0123456789", "whsec_new_0123456789", "whsec_theirs_0123456789"
MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com")
RULE = WriteRule(MARK.webhook_id, MARK.managed_from, known=frozenset({fingerprint_of(HELD)}))
HOST, NAME = "acme-feedback.vault.azure.net", "webhook-secret"


@pytest.fixture(scope="module")
def server():
    with fake_key_vault() as running:
        yield running


@pytest.fixture
def azure(server, monkeypatch):
    """A vault without secrets; the connection's account may do everything."""
    server.granted = {ROTATION: ALL, "worker": ALL}
    server.hosts.mode = "pass"
    for forgotten in (server.secrets, server.deleted, server.faults, server.login_faults, server.hosts.seen):
        forgotten.clear()
    server.hosts.lead(monkeypatch)
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"):
        monkeypatch.delenv(name, raising=False)
    connect(monkeypatch)
    return server


@pytest.fixture
def arm():
    """Arms a store with some fields, and closes it."""
    open_ = []

    def armed(**changes):
        open_.append(ready(store(**changes)))
        return open_[-1]

    yield armed
    for one in open_:
        one.close()


def store(**changes):
    return AzureKeyVaultStore(**{"vault_url": f"https://{HOST}", "name": NAME, **changes})


def connect(monkeypatch, *, login=ROTATION, password=CLIENT_SECRET, tenant=TENANT, **extra):
    extra = {**extra, "tenantId": tenant} if tenant else extra
    connection = {"conn_type": "azure", "login": login, "password": password, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AZURE_DEFAULT", json.dumps(connection))


def put(azure, value, host=HOST, **facts):
    versions = azure.secrets.setdefault((host, NAME), [])
    version = {"version": f"{len(versions):032x}", "value": value, "tags": {}, "created": 1, "contentType": None}
    versions.append({**version, "enabled": True, "kid": None, **facts})


def values(azure):
    return [one["value"] for one in azure.secrets[HOST, NAME]]


def new_pair():
    return SecretPair(SigningSecret(NEW))


def test_target_names_connection_vault_and_name_whatever_their_case():
    """Key Vault's names know no case, so two spellings are one place."""
    assert store(vault_url="https://Acme-Feedback.vault.azure.net/", name="Webhook-Secret").target == store().target
    assert store().target == "azure-key-vault://azure_default@acme-feedback.vault.azure.net/webhook-secret"
    assert store(conn_id=None, key="A").target == "azure-key-vault://acme-feedback.vault.azure.net/webhook-secret#A"


@pytest.mark.parametrize(
    "url",
    [
        "http://a-vault.vault.azure.net", "https://a-vault", "https://a-vault.vault.azure.net/secrets/x", "a-vault",
        "https://user:pass@a-vault.vault.azure.net", "https://a-vault.vault.azure.net:8443",
        "https://a-vault.vault.azure.net?x", "https://10.0.0.1",
    ],
)  # fmt: skip
def test_what_is_no_vault_is_refused(url):
    with pytest.raises(ValidationError, match=r"https://NAME\.vault\.azure\.net"):
        store(vault_url=url)


@pytest.mark.parametrize("change", [{"name": "a_b"}, {"name": "a/b"}, {"name": ""}, {"key": ""}, {"conn_id": ""}])
def test_what_key_vault_cannot_name_is_refused(change):
    with pytest.raises(ValidationError):
        store(**change)


def test_a_missing_client_names_the_extra(azure, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.keyvault.secrets", None)
    with pytest.raises(StoreUnusable, match=r"airflow-provider-featurebase\[azure_key_vault\]"):
        ready(store())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tenant": None}, "not all three"),
        ({"password": None}, "not all three"),
        ({"login": None}, "not all three"),
        ({"key_json": {"clientId": "x"}}, "key_json"),
        ({"key_path": "/key.json"}, "key_path"),
        ({"cloud_environment": "AzureGermanCloud"}, "AzureUSGovernment"),
    ],
)
def test_a_connection_that_makes_no_credential_is_refused(monkeypatch, fields, said):
    """Half a login does not fall back on another identity."""
    connect(monkeypatch, **fields)
    with pytest.raises(StoreUnusable, match=said):
        ready(store())


def test_arming_logs_in(azure, arm):
    """The write does not wait for a token: the first request to the vault after it meets a challenge only."""
    armed = arm()
    assert azure.hosts.seen[-1].path == f"/{TENANT}/oauth2/v2.0/token"
    azure.hosts.seen.clear()
    armed.read()
    assert {one.host for one in azure.hosts.seen} == {HOST}


def test_a_wrong_client_secret_is_refused_and_not_shown(azure, monkeypatch):
    connect(monkeypatch, password="whsec_wrong_client_secret")
    with pytest.raises(StoreRefused, match="login was refused.*client id, secret and tenant") as caught:
        ready(store())
    assert "whsec" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("fault", [Answer(503, "<html>busy"), Answer(429, {"error": "throttled"})])
def test_a_login_in_trouble_is_unreachable(azure, fault):
    azure.login_faults.extend([fault] * 3)
    with pytest.raises(StoreUnreachable, match="login did not succeed"):
        ready(store())


def test_a_login_that_nobody_answers_is_unreachable(azure):
    azure.hosts.mode = "silent"
    with pytest.raises(StoreUnreachable, match="login did not succeed"):
        ready(store(timeout=0.2))


@pytest.mark.parametrize("conn_id", [None, "azure_default"])
def test_without_a_login_the_worker_is_itself(azure, arm, monkeypatch, conn_id):
    """As DefaultAzureCredential finds it: here in the environment."""
    connect(monkeypatch, login=None, password=None, tenant=None)
    for name, value in {"CLIENT_ID": "worker", "CLIENT_SECRET": CLIENT_SECRET, "TENANT_ID": TENANT}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    put(azure, HELD)
    assert arm(conn_id=conn_id).read().current == SigningSecret(HELD)
    assert b"client_id=worker" in next(one.body for one in azure.hosts.seen if one.path.endswith("/token"))


def test_a_worker_without_identity_may_find_one_later(azure, monkeypatch):
    """A managed identity that does not answer and none at all look alike, so a push task goes on trying."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    with pytest.raises(StoreUnreachable, match="has an identity"):
        ready(store(conn_id=None))


def test_identities_of_the_connection_are_handed_on(monkeypatch):
    seen = {}
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda **options: seen.update(options))
    extra = {"managed_identity_client_id": "m", "workload_identity_tenant_id": "w"}
    azure_credential("x", SimpleNamespace(login=None, password=None, extra_dejson=extra), timeout=3)
    assert {name: seen[name] for name in extra} == extra
    assert seen["connection_timeout"] == seen["read_timeout"] == 3


def test_another_cloud_has_another_login(azure, arm, monkeypatch):
    connect(monkeypatch, cloud_environment="AzureUSGovernment")
    put(azure, HELD, "acme-feedback.vault.usgovcloudapi.net")
    armed = arm(vault_url="https://acme-feedback.vault.usgovcloudapi.net")
    assert armed.read().current == SigningSecret(HELD)
    logins = {one.host for one in azure.hosts.seen if one.host.startswith("login.")}
    assert logins == {"login.microsoftonline.us"}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_unreachable(azure, arm, status):
    azure.faults.append(Answer(status, {"error": {"code": "Busy", "message": f"quotes {HELD}"}}))
    with pytest.raises(StoreUnreachable) as caught:
        arm().read()
    assert HELD not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("body", [{"error": {"code": "Forbidden", "message": HELD}}, {"error": HELD}, [], f"<p>{HELD}"])
def test_an_answer_that_says_no_is_a_refusal(azure, arm, status, body):
    azure.faults.append(Answer(status, body))
    with pytest.raises(StoreRefused) as caught:
        arm().read()
    assert HELD not in str(caught.value)


@pytest.mark.parametrize("body", [f"<html>{HELD}", "", "[1]"])
def test_an_answer_from_something_else_is_no_absence(azure, arm, body):
    """A portal's page with status 200 is neither a value nor the absence of one."""
    azure.faults.append(Answer(200, body))
    with pytest.raises(StoreUnreachable) as caught:
        arm().read()
    assert HELD not in str(caught.value)


def test_a_vault_without_an_address_is_unreachable(azure, arm):
    """The login goes to another host, so arming succeeds; nothing is taken for absent."""
    with pytest.raises(StoreUnreachable):
        arm(vault_url="https://acme-feedback.vault.azure.cn").read()


def test_a_silent_server_costs_no_more_than_the_timeout(azure, arm):
    armed = arm(timeout=0.2)
    azure.hosts.mode = "silent"
    azure.hosts.cut()
    with pytest.raises(StoreUnreachable):
        armed.read()


def test_connections_that_were_closed_since_arming_are_opened_again(azure, arm):
    put(azure, HELD)
    armed = arm()
    held = armed.read()
    azure.hosts.cut()
    time.sleep(0.05)  # until the closing has arrived
    write_to(armed, new_pair(), held=held, mark=MARK)
    assert values(azure) == [HELD, NEW]


def test_a_write_whose_answer_is_lost_is_found_by_the_next_push(azure, arm):
    """It is not repeated blindly: that would make a version more."""
    put(azure, HELD)
    armed = arm()
    held = armed.read()
    azure.faults.extend([None, "drop_after"])
    with pytest.raises(StoreUnreachable, match="could not be written"):
        write_to(armed, new_pair(), held=held, mark=MARK)
    assert not converge(armed, SigningSecret(NEW), RULE)
    assert values(azure) == [HELD, NEW]


def test_a_writer_before_our_comparison_is_not_overwritten(azure, arm):
    put(azure, HELD)
    armed = arm()
    held = armed.read()
    azure.faults.append(lambda: put(azure, THEIRS))
    with pytest.raises(StoreConflict):
        converge(armed, SigningSecret(NEW), RULE, held=held)
    assert values(azure) == [HELD, THEIRS]


def test_a_writer_after_our_comparison_stays_in_the_history(azure, arm):
    """Key Vault has no conditional write; the page says so."""
    put(azure, HELD)
    armed = arm()
    held = armed.read()
    azure.faults.extend([None, lambda: put(azure, THEIRS)])
    write_to(armed, new_pair(), held=held, mark=MARK)
    assert values(azure) == [HELD, THEIRS, NEW]


def test_a_disabled_version_is_named(azure, arm):
    put(azure, HELD, enabled=False)
    with pytest.raises(StoreRefused, match=r"SecretDisabled.*enable it"):
        arm().read()


@pytest.mark.parametrize("verb", ["read", "prove_writable"])
def test_a_deleted_secret_is_refused_with_a_way_out(azure, arm, verb):
    put(azure, HELD)
    azure.deleted[HOST, NAME] = azure.secrets.pop((HOST, NAME))
    with pytest.raises(StoreRefused, match="az keyvault secret recover"):
        getattr(arm(create=True), verb)()


def test_a_deleted_secret_that_may_not_be_looked_up_is_refused_by_the_write(azure, arm):
    azure.deleted[HOST, NAME] = [{"version": "0"}]
    armed = arm(create=True)
    denied = Answer(403, {"error": {"code": "Forbidden", "message": "no", "innererror": {"code": "ForbiddenByRbac"}}})
    azure.faults.extend([None, denied])
    held = armed.read()
    assert held.current is None
    azure.faults.extend([None, denied])
    with pytest.raises(StoreRefused, match="az keyvault secret recover") as caught:
        write_to(armed, new_pair(), held=held, mark=MARK)
    assert NEW not in str(caught.value)


def test_an_outage_while_looking_for_a_deleted_secret_is_no_absence(azure, arm):
    azure.faults.extend([None, Answer(503, {"error": {"code": "Busy"}})])
    with pytest.raises(StoreUnreachable):
        arm(create=True).read()


def test_a_secret_that_is_being_deleted_is_a_conflict(azure, arm):
    put(azure, HELD)
    armed = arm()
    held = armed.read()
    azure.faults.extend([None, Answer(409, {"error": {"code": "Conflict", "message": "is being deleted"}})])
    with pytest.raises(StoreConflict):
        write_to(armed, new_pair(), held=held, mark=MARK)


def test_too_many_tags_are_found_beforehand(azure, arm):
    put(azure, HELD, tags={f"tag-{number}": "x" for number in range(12)})
    with pytest.raises(StoreRefused, match="more tags than the 15"):
        arm().prove_writable()


def test_our_own_tags_count_once(azure, arm):
    put(azure, HELD, tags={f"tag-{number}": "x" for number in range(11)})
    armed = arm()
    for value in (NEW, THEIRS):
        write_to(armed, SecretPair(SigningSecret(value)), held=armed.read(), mark=MARK)
    assert not armed.prove_writable().proven
    assert len(azure.secrets[HOST, NAME][-1]["tags"]) == 15


def test_a_name_that_nobody_may_purge_is_said_with_its_day(azure, arm, monkeypatch):
    """With purge protection the advice to purge it would lead nowhere."""
    put(azure, HELD)
    azure.deleted[HOST, NAME] = azure.secrets.pop((HOST, NAME))
    monkeypatch.setattr(azure, "purge_protection", True)
    day = datetime.fromtimestamp(azure.clock, timezone.utc) + timedelta(days=90)
    with pytest.raises(StoreRefused, match=f"taken until {day:%Y-%m-%d}: the vault has purge protection") as caught:
        arm(create=True).prove_writable()
    assert "az keyvault secret purge" not in str(caught.value)


def test_a_managed_hsm_is_no_vault():
    with pytest.raises(ValidationError, match="holds keys and no secrets"):
        store(vault_url="https://acme.managedhsm.azure.net")


LATER, LONG_AGO = datetime(2100, 1, 1, tzinfo=timezone.utc), datetime(2001, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        ({}, []),
        ({"exp": LATER}, ["expires at 2100-01-01T00:00:00+00:00"]),
        ({"exp": LONG_AGO, "nbf": LONG_AGO}, ["expires at 2001-01-01T00:00:00+00:00"]),
        ({"exp": LATER, "nbf": LATER}, ["expires at", "not to be used before 2100-01-01T00:00:00+00:00"]),
        ({"nbf": LONG_AGO}, []),
    ],
)
def test_dates_go_over_to_the_new_version_and_are_said(azure, arm, dates, said):
    """A version without them would be another secret than its owner, or a policy of Azure, asks for."""
    facts = {name: int(date.timestamp()) for name, date in dates.items()}
    put(azure, HELD, contentType="text/plain", **facts)
    armed = arm()
    for _ in range(2):
        warning = armed.prove_writable().warning
        assert [part in warning for part in said] == [True] * len(said)
        assert bool(warning) is bool(said)
        write_to(armed, new_pair(), held=armed.read(), mark=MARK)
    newest = azure.secrets[HOST, NAME][-1]
    assert newest["value"] == NEW
    assert newest["contentType"] == "text/plain"
    assert {name: newest[name] for name in ("exp", "nbf")} == {"exp": None, "nbf": None, **facts}


def test_a_write_that_is_refused_names_the_limit(azure, arm):
    """Where no preflight stopped it, as in an emergency; Key Vault counts bytes, and so does the message."""
    put(azure, json.dumps({"a": "é" * 12_780, "k": HELD}, ensure_ascii=False))
    armed = arm(key="k")
    held = armed.read()
    with pytest.raises(StoreRefused, match=r"would have 25,6\d\d bytes, and .* takes 25,600"):
        write_to(armed, SecretPair(armed.trial), held=held, mark=MARK)
    assert len(values(azure)) == 1


def test_a_mark_on_a_value_that_somebody_replaced_does_not_count(azure, arm):
    """As where somebody sets a value and takes over the tags."""
    put(azure, HELD)
    armed = arm()
    write_to(armed, new_pair(), held=armed.read(), mark=MARK)
    put(azure, THEIRS, tags=azure.secrets[HOST, NAME][-1]["tags"])
    assert not is_ours(armed.read(), WriteRule(MARK.webhook_id, "here"))


def test_nothing_is_logged_that_must_not_be(azure, arm, caplog):
    """Not even by the client's own debug log."""
    caplog.set_level(logging.DEBUG)
    put(azure, HELD)
    armed = arm()
    write_to(armed, new_pair(), held=armed.read(), mark=MARK)
    assert [one for one in (HELD, NEW, CLIENT_SECRET) if one in caplog.text] == []
