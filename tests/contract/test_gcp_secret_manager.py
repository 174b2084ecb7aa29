"""The store gcp_secret_manager: its configuration, its credentials, and what the conformance suite does not ask."""

from __future__ import annotations

import json
import logging
import sys
import time

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import (
    StoreConflict,
    StoreForeignValue,
    StoreRefused,
    StoreUnreachable,
    StoreUnusable,
)
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.gcp_secret_manager import GcpSecretManagerStore
from tests.contract.store_case import ready, write_to
from tests.servers.secret_manager_api import ADMIN, ALL, ROTATION, account_key, fake_secret_manager
from tests.servers.tls_hosts import Answer
from tests.world.converge import converge

HELD, NEW, THEIRS = "whsec_held_0123456789", "whsec_new_0123456789", "whsec_theirs_0123456789"
NAME = "projects/acme-feedback/secrets/featurebase-webhook-secret"
MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com")
RULE = WriteRule(MARK.webhook_id, MARK.managed_from, known=frozenset({fingerprint_of(HELD)}))


@pytest.fixture(scope="module")
def server():
    with fake_secret_manager() as running:
        yield running


@pytest.fixture
def google(server, monkeypatch):
    """A project whose secret has been empty so far; the connection's account may do everything."""
    server.granted = {ADMIN: ALL, ROTATION: ALL}
    server.secrets = {NAME: {"annotations": {"owner": "feedback-team"}, "labels": {}, "etag": "a", "versions": []}}
    server.adding_changes_etag, server.hosts.mode = False, "pass"
    server.faults.clear()
    server.token_faults.clear()
    server.hosts.seen.clear()
    server.hosts.lead(monkeypatch)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    connect(monkeypatch, keyfile_dict=account_key(ROTATION))
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
    fields = {"project_id": "acme-feedback", "secret_id": "featurebase-webhook-secret"}
    return GcpSecretManagerStore(**{**fields, **changes})


def connect(monkeypatch, **extra):
    connection = {"conn_type": "google_cloud_platform", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))


def put(google, *values, name=NAME):
    for value in values:
        data = value if isinstance(value, bytes) else value.encode()
        google.secrets[name]["versions"].append({"data": data, "state": "ENABLED", "etag": f"{len(value)}"})


def values(google, name=NAME):
    return [one["data"].decode() for one in google.secrets[name]["versions"]]


def states(google):
    return [one["state"] for one in google.secrets[NAME]["versions"]]


def write(armed, value=NEW, previous=None):
    pair = SecretPair(SigningSecret(value), SigningSecret(previous) if previous else None)
    write_to(armed, pair, held=armed.read(), mark=MARK)


def test_target_names_connection_project_and_key():
    assert store().target == "gcp-secret-manager://google_cloud_default@acme-feedback/featurebase-webhook-secret"
    regional = store(conn_id=None, location="europe-west3", key="A", previous_key="B")
    assert regional.target == "gcp-secret-manager://acme-feedback/europe-west3/featurebase-webhook-secret#A"
    assert regional.keeps_previous


@pytest.mark.parametrize(
    "change",
    [
        {"project_id": "projects/acme"}, {"project_id": "A"}, {"secret_id": "a/b"}, {"secret_id": "a:b"},
        {"secret_id": ""}, {"location": "eu/../x1"}, {"older_versions": "destroy"}, {"key": ""}, {"conn_id": ""},
    ],
)  # fmt: skip
def test_what_google_cannot_name_is_refused(change):
    with pytest.raises(ValidationError):
        store(**change)


def test_a_missing_client_names_the_extra(google, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud.secretmanager_v1", None)
    with pytest.raises(StoreUnusable, match=r"airflow-provider-featurebase\[gcp_secret_manager\]"):
        ready(store())


@pytest.mark.parametrize("field", ["credential_config_file", "key_secret_name", "idp_issuer_url", "is_anonymous"])
def test_a_connection_that_means_another_identity_is_refused(monkeypatch, field):
    """What other tasks would do with that field is not what this store would do without it."""
    connect(monkeypatch, keyfile_dict=account_key(ROTATION), **{field: "x"})
    with pytest.raises(StoreUnusable, match=field):
        ready(store())


@pytest.mark.parametrize(
    "extra",
    [
        {"keyfile_dict": "{ whsec_key_is_no_json"},
        {"keyfile_dict": "[]"},
        {"keyfile_dict": {"type": "service_account"}},
        {"keyfile_dict": {**account_key(ROTATION), "private_key": "whsec_no_pem"}},
        {"key_path": "/nowhere/key.json"},
    ],
)
def test_an_unusable_key_is_named_and_not_shown(google, monkeypatch, extra):
    connect(monkeypatch, **extra)
    with pytest.raises(StoreUnusable, match="no usable service account key") as caught:
        ready(store())
    assert "whsec" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("how", ["object", "text", "path", "old prefix"])
def test_a_key_may_be_given_in_every_way_that_the_connection_knows(google, arm, monkeypatch, tmp_path, how):
    (tmp_path / "key.json").write_text(json.dumps(account_key(ROTATION)))
    connect(monkeypatch, **{
        "object": {"keyfile_dict": account_key(ROTATION)},
        "text": {"keyfile_dict": json.dumps(account_key(ROTATION))},
        "path": {"key_path": str(tmp_path / "key.json")},
        "old prefix": {"extra__google_cloud_platform__keyfile_dict": account_key(ROTATION)},
    }[how])  # fmt: skip
    put(google, HELD)
    assert arm().read().current == SigningSecret(HELD)


def test_the_quota_project_is_sent(google, arm, monkeypatch):
    connect(monkeypatch, keyfile_dict=account_key(ROTATION), quota_project_id="acme-billing")
    arm().read()
    assert "acme-billing" in [one.headers.get("x-goog-user-project") for one in google.hosts.seen]


@pytest.mark.parametrize("chain", ["via@x, target@x", ["via@x", "target@x"]])
def test_acts_as_the_last_of_an_impersonation_chain(google, arm, monkeypatch, chain):
    """The token comes from the last account; arming fetched it, so that a write does not wait for it."""
    google.granted = {ROTATION: {"impersonate"}, "target@x": ALL}
    connect(monkeypatch, keyfile_dict=account_key(ROTATION), impersonation_chain=chain)
    put(google, HELD)
    armed = arm()
    asked = google.hosts.seen[-1]
    assert asked.path.endswith("serviceAccounts/target@x:generateAccessToken")
    assert asked.document["delegates"] == ["projects/-/serviceAccounts/via@x"] or asked.document["delegates"] == [
        "via@x"
    ]
    assert armed.read().current == SigningSecret(HELD)


def test_an_impersonation_that_is_not_allowed_is_refused(google, monkeypatch):
    google.granted = {ROTATION: set(), "target@x": ALL}
    connect(monkeypatch, keyfile_dict=account_key(ROTATION), impersonation_chain="target@x")
    with pytest.raises(StoreRefused, match="no access token"):
        ready(store())


def own_identity(monkeypatch, tmp_path, refresh_token):
    """The worker's application default credentials, as gcloud leaves them."""
    file = tmp_path / "adc.json"
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": refresh_token}
    file.write_text(json.dumps(user))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "acme-feedback")


@pytest.mark.parametrize("conn_id", [None, "google_cloud_default"])
def test_without_a_key_the_worker_is_itself(google, arm, monkeypatch, tmp_path, conn_id):
    own_identity(monkeypatch, tmp_path, "worker")
    connect(monkeypatch)
    google.granted["worker"] = ALL
    put(google, HELD)
    armed = arm(conn_id=conn_id)
    assert google.hosts.seen[-1].host == "oauth2.googleapis.com"
    assert armed.read().current == SigningSecret(HELD)


def test_an_identity_that_was_withdrawn_is_refused(google, monkeypatch, tmp_path):
    """Google's answer, which may quote a token, is not repeated."""
    own_identity(monkeypatch, tmp_path, "whsec_withdrawn_token")
    with pytest.raises(StoreRefused, match="RefreshError") as caught:
        ready(store(conn_id=None))
    assert "whsec" not in str(caught.value)


@pytest.mark.parametrize("down", ["server error", "no answer"])
def test_a_token_server_in_trouble_is_unreachable(google, monkeypatch, tmp_path, down):
    own_identity(monkeypatch, tmp_path, "worker")
    monkeypatch.setattr("time.sleep", lambda _: None)  # between google-auth's own three tries
    google.token_faults.extend([Answer(503, {"error": "internal_failure"})] * 9)
    google.hosts.mode = "closed" if down == "no answer" else "pass"
    google.hosts.cut()
    with pytest.raises(StoreUnreachable, match="no access token"):
        ready(store(conn_id=None))


def test_a_worker_without_identity_is_unusable(google, monkeypatch, tmp_path):
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(StoreUnusable, match="nor this worker has Google credentials"):
        ready(store(conn_id=None))


def test_a_withdrawn_key_is_refused(google, arm):
    put(google, HELD)
    armed = arm()
    del google.granted[ROTATION]
    with pytest.raises(StoreRefused, match="UNAUTHENTICATED"):
        armed.read()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_unreachable(google, arm, status):
    google.faults.append(Answer(status, {"error": {"code": status, "message": f"quotes {HELD}"}}))
    with pytest.raises(StoreUnreachable, match=str(status)) as caught:
        arm().read()
    assert HELD not in str(caught.value)


@pytest.mark.parametrize("status", [400, 403, 412])
@pytest.mark.parametrize("body", [{"error": {"status": "INVALID_ARGUMENT"}}, [], f"<p>{HELD}"])
def test_an_answer_that_says_no_is_a_refusal(google, arm, status, body):
    google.faults.append(Answer(status, body))
    with pytest.raises(StoreRefused) as caught:
        arm().read()
    assert HELD not in str(caught.value)


@pytest.mark.parametrize("body", [f"<html>{HELD}", "", "[1]", {"name": 7}])
def test_an_answer_from_something_else_is_no_absence(google, arm, body):
    """A portal's page with status 200 is neither a value nor the absence of one."""
    google.faults.append(Answer(200, body))
    with pytest.raises(StoreUnreachable) as caught:
        arm().read()
    assert HELD not in str(caught.value)


def test_a_silent_server_costs_no_more_than_the_timeout(google, arm):
    armed = arm(timeout=0.2)
    google.hosts.mode = "silent"
    with pytest.raises(StoreUnreachable, match="Timeout"):
        armed.read()


def test_connections_that_were_closed_since_arming_are_opened_again(google, arm):
    put(google, HELD)
    armed = arm()
    held = armed.read()
    google.hosts.cut()
    time.sleep(0.05)  # until the closing has arrived
    write_to(armed, SecretPair(SigningSecret(NEW)), held=held, mark=MARK)
    assert values(google) == [HELD, NEW]


def test_a_write_whose_answer_is_lost_is_found_by_the_next_push(google, arm):
    """It is not repeated blindly: that would make a version more."""
    put(google, HELD)
    armed = arm()
    held = armed.read()
    google.faults.extend([None, "drop_after"])
    with pytest.raises(StoreUnreachable, match="could not be written"):
        write_to(armed, SecretPair(SigningSecret(NEW)), held=held, mark=MARK)
    assert not converge(armed, SigningSecret(NEW), RULE)
    assert values(google) == [HELD, NEW]


def test_a_key_that_somebody_adds_in_the_very_instant_is_kept(google, arm):
    """Between the comparison and our call nothing can be locked; what came in between is put back and read again."""
    put(google, json.dumps({"signing": HELD}))
    armed = arm(key="signing")
    held = armed.read()
    google.faults.extend([None, lambda: put(google, json.dumps({"signing": HELD, "added": 1}))])
    assert converge(armed, SigningSecret(NEW), RULE, held=held)
    assert [json.loads(one) for one in values(google)] == [
        {"signing": HELD}, {"signing": HELD, "added": 1}, {"signing": NEW}, {"signing": HELD, "added": 1},
        {"signing": NEW, "added": 1},
    ]  # fmt: skip


def test_a_secret_that_somebody_writes_in_the_very_instant_is_not_lost(google, arm):
    """It may be newer than ours, so theirs stands and the caller judges."""
    put(google, HELD)
    armed = arm()
    held = armed.read()
    google.faults.extend([None, lambda: put(google, THEIRS)])
    with pytest.raises(StoreConflict):
        converge(armed, SigningSecret(NEW), RULE, held=held)
    assert values(google)[-1] == THEIRS


def test_what_cannot_be_put_back_is_named(google, arm):
    put(google, HELD)
    armed = arm()
    held = armed.read()
    down = Answer(503, {"error": {"code": 503}})
    google.faults.extend([None, lambda: put(google, THEIRS), None, down])
    with pytest.raises(StoreUnreachable, match="version 3 was added over another writer's version 2"):
        write_to(armed, SecretPair(SigningSecret(NEW)), held=held, mark=MARK)


@pytest.mark.parametrize("state", ["MISSING", "DESTROYED"])
def test_a_gap_in_the_numbers_does_no_harm(google, arm, state):
    put(google, HELD)
    armed = arm()
    held = armed.read()
    google.faults.extend([None, lambda: google.secrets[NAME]["versions"].append({"state": state, "etag": "x"})])
    write_to(armed, SecretPair(SigningSecret(NEW)), held=held, mark=MARK)
    assert google.secrets[NAME]["versions"][-1]["data"] == NEW.encode()


@pytest.mark.parametrize("adding_changes_etag", [False, True])
def test_the_mark_leaves_other_annotations_alone(google, arm, adding_changes_etag):
    """Also one that somebody sets meanwhile."""
    google.adding_changes_etag = adding_changes_etag
    put(google, HELD)
    armed = arm()
    held = armed.read()
    google.secrets[NAME].update(annotations={"owner": "others", "cost": "low"}, etag="b")
    write_to(armed, SecretPair(SigningSecret(NEW)), held=held, mark=MARK)
    annotations = google.secrets[NAME]["annotations"]
    assert (annotations["owner"], annotations["cost"]) == ("others", "low")
    assert armed.read().mark == MARK


def test_annotations_that_keep_changing_cost_the_mark_only(google, arm, caplog):
    put(google, HELD)
    armed = arm()
    held = armed.read()
    moved = Answer(409, {"error": {"code": 409, "status": "ABORTED"}})
    google.faults.extend([None, None, moved, None, moved])
    write_to(armed, SecretPair(SigningSecret(NEW)), held=held, mark=MARK)
    assert values(google) == [HELD, NEW]
    assert "not marked as ours" in caplog.text


def test_a_mark_on_a_value_that_somebody_replaced_does_not_count(google, arm):
    put(google, HELD)
    write(arm())
    put(google, THEIRS)
    with pytest.raises(StoreForeignValue):
        converge(arm(), SigningSecret(NEW), RULE)


def test_without_the_right_to_mark_the_value_is_written_all_the_same(google, arm, caplog):
    google.granted[ROTATION] = {
        f"secretmanager.{one}" for one in ("secrets.get", "versions.access", "versions.add", "versions.get")
    }
    put(google, HELD)
    armed = arm()
    proof = armed.prove_writable()
    assert proof.proven
    assert "secretmanager.secrets.update" in proof.detail
    write(armed)
    assert values(google) == [HELD, NEW]
    assert "not marked as ours (PERMISSION_DENIED)" in caplog.text


@pytest.mark.parametrize("lacking", ["versions.add", "versions.list", "versions.disable"])
def test_the_proof_names_the_permission_that_is_missing(google, arm, lacking):
    names = {"secrets.get", "secrets.update", "versions.access", "versions.add", "versions.list", "versions.disable"}
    google.granted[ROTATION] = {f"secretmanager.{one}" for one in names - {lacking}} | {"secretmanager.versions.get"}
    put(google, HELD)
    if lacking == "versions.list":  # the read needs it already
        with pytest.raises(StoreRefused, match="could not be listed"):
            arm(older_versions="disable").prove_writable()
    else:
        with pytest.raises(StoreRefused, match=f"lacks secretmanager.{lacking};"):
            arm(older_versions="disable").prove_writable()


def test_older_versions_are_disabled_once_the_new_one_is_in_place(google, arm):
    """However many pages they fill; those that were destroyed stay so."""
    put(google, "one", "two", "three", "four", HELD)
    google.secrets[NAME]["versions"][1]["state"] = "DESTROYED"
    write(arm(older_versions="disable"))
    assert states(google) == ["DISABLED", "DESTROYED", "DISABLED", "DISABLED", "DISABLED", "ENABLED"]


def test_a_worker_that_was_lost_after_the_write_left_older_versions_and_the_mark(google, arm):
    """The next push does both, and adds no version."""
    put(google, HELD)
    armed = arm(older_versions="disable")
    armed.write(SecretPair(SigningSecret(NEW)), held=armed.read(), mark=MARK)
    assert (armed.read().finished, armed.read().mark) == (False, None)
    converge(armed, SigningSecret(NEW), RULE)
    assert (armed.read().finished, armed.read().mark) == (True, MARK)
    assert (values(google), states(google)) == ([HELD, NEW], ["DISABLED", "ENABLED"])


def test_older_versions_are_kept_unless_asked(google, arm):
    put(google, HELD)
    write(arm())
    assert states(google) == ["ENABLED", "ENABLED"]


def test_disabling_that_failed_is_made_up_for(google, arm):
    """The value is in place; the next push sees that something is left to do, and does only that."""
    put(google, HELD)
    google.granted[ROTATION] = {
        f"secretmanager.{one}"
        for one in ("secrets.get", "secrets.update", "versions.access", "versions.add", "versions.list")
    }
    armed = arm(older_versions="disable")
    with pytest.raises(StoreRefused, match="in place, but version 1 could not be disabled"):
        write(armed)
    assert not armed.read().finished
    google.granted[ROTATION] = ALL
    assert converge(armed, SigningSecret(NEW), RULE)
    assert (values(google), states(google)) == ([HELD, NEW], ["DISABLED", "ENABLED"])
    assert not converge(armed, SigningSecret(NEW), RULE)


@pytest.mark.parametrize("state", ["DISABLED", "DESTROYED"])
def test_a_latest_version_that_was_pulled_is_replaced(google, arm, state):
    """As somebody does with a secret that leaked: the emergency rotation must not be stopped by that."""
    put(google, HELD)
    google.secrets[NAME]["versions"][0]["state"] = state
    armed = arm()
    assert armed.read().current is None
    assert converge(armed, SigningSecret(NEW), RULE)
    assert values(google) == [HELD, NEW]


def test_a_json_value_that_cannot_be_read_is_not_replaced(google, arm):
    """Its other keys would be lost."""
    put(google, json.dumps({"signing": HELD, "other": 1}))
    google.secrets[NAME]["versions"][0]["state"] = "DISABLED"
    with pytest.raises(StoreRefused, match="latest version is disabled"):
        arm(key="signing").read()


def test_a_secret_without_versions_takes_the_first(google, arm):
    armed = arm()
    assert armed.read().current is None
    write(armed)
    assert values(google) == [NEW]


def test_a_regional_secret_is_reached_in_its_region(google, arm):
    armed = arm(location="europe-west3", create=True)
    write(armed)
    regional = NAME.replace("/secrets/", "/locations/europe-west3/secrets/")
    assert values(google, regional) == [NEW]
    assert {one.host for one in google.hosts.seen} == {"secretmanager.europe-west3.rep.googleapis.com"}
    assert armed.read().mark == MARK


KEY = {"kmsKeyName": "projects/acme-feedback/locations/europe-west3/keyRings/a/cryptoKeys/b"}
REPLICA = {"location": "europe-west3"}


@pytest.mark.parametrize(
    ("settings", "proven"),
    [
        ({}, True),
        ({"replication": {"automatic": {}}}, True),
        ({"replication": {"userManaged": {"replicas": [REPLICA]}}}, True),
        ({"replication": {"automatic": {"customerManagedEncryption": KEY}}}, False),
        (
            {"replication": {"userManaged": {"replicas": [REPLICA, {**REPLICA, "customerManagedEncryption": KEY}]}}},
            False,
        ),
        ({"customerManagedEncryption": KEY}, False),  # of a regional secret
    ],
)
def test_a_key_of_the_customer_is_not_proven(google, arm, settings, proven):
    """Google's permissions don't tell whether the key may encrypt."""
    google.secrets[NAME]["settings"] = settings
    put(google, HELD)
    proof = arm().prove_writable()
    assert (proof.proven, "KMS key" in proof.detail) == (proven, not proven)


def test_a_schedule_that_may_replace_the_value_is_said(google, arm):
    """Google only sends messages at that time; what answers them may add a version."""
    put(google, HELD)
    assert arm().prove_writable().warning == ""
    google.secrets[NAME]["settings"] = {
        "rotation": {"nextRotationTime": "2100-01-01T00:00:00Z", "rotationPeriod": "7776000s"},
        "topics": [{"name": "projects/acme-feedback/topics/rotate"}],
    }
    assert "next at 2100-01-01T00:00:00+00:00" in arm().prove_writable().warning


@pytest.mark.parametrize(
    ("location", "hint"), [(None, "for a regional one, write its location"), ("europe-west3", "leave out location")]
)
def test_a_secret_of_the_other_kind_is_hinted_at(google, arm, location, hint):
    """A global and a regional secret of one name are two secrets."""
    google.secrets.clear()
    with pytest.raises(StoreRefused, match=hint):
        arm(location=location).prove_writable()


def test_a_write_that_is_refused_names_the_limit(google, arm):
    """Where no preflight stopped it, as in an emergency."""
    put(google, json.dumps({"a": "é" * 32_740, "k": HELD}, ensure_ascii=False))
    armed = arm(key="k")
    held = armed.read()
    with pytest.raises(StoreRefused, match=r"would have 65,5\d\d bytes, and .* takes 65,536"):
        write_to(armed, SecretPair(armed.trial), held=held, mark=MARK)
    assert len(values(google)) == 1


def test_nothing_is_logged_that_must_not_be(google, arm, caplog):
    """Not even by the client's own debug log."""
    caplog.set_level(logging.DEBUG)
    put(google, HELD)
    write(arm())
    assert [one for one in (HELD, NEW) if one in caplog.text] == []
