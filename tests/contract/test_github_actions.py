"""Configuration of ``github_actions``, and a GitHub that misbehaves."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import (
    StoreConflict,
    StoreError,
    StoreForeignValue,
    StoreRefused,
    StoreUnreachable,
    StoreUnusable,
)
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.stores.github_actions import GithubActionsStore
from tests.contract.github_actions_cases import NAME, GithubOrganizationCase, GithubRepositoryCase
from tests.contract.store_case import ALL_VALUES, HELD, NEW, THEIRS, write_to
from tests.contract.test_store_conformance import MARK, pair, raises_quietly, raises_saying
from tests.servers.github_api import Refusal
from tests.servers.relay import relay_to
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Iterator

ADOPTED: dict[str, Any] = {"adopt": True}
REPOSITORY: dict[str, Any] = {"repository": "acme/feedback", **ADOPTED}


@pytest.fixture
def case() -> Iterator[GithubRepositoryCase]:
    built = GithubRepositoryCase()
    built.put(HELD)
    yield built
    built.close()


@pytest.mark.parametrize(
    ("fields", "target", "path"),
    [
        ({}, "repos/acme/feedback", "/repos/Acme/Feedback/actions/secrets"),
        (
            {"environment": "prod/eu"},
            "repos/acme/feedback/environments/prod%2feu",
            "/repos/Acme/Feedback/environments/prod%2Feu/secrets",
        ),
        ({"repository": None, "organization": "Acme"}, "orgs/acme", "/orgs/Acme/actions/secrets"),
    ],
)
def test_the_target_is_the_same_however_it_is_written(fields: dict[str, Any], target: str, path: str) -> None:
    """GitHub's names are not case-sensitive."""
    store = GithubActionsStore(**{"repository": "Acme/Feedback", **ADOPTED, "name": "signing", **fields})
    assert store.target == f"github://github_default@{target}#SIGNING"
    assert (store.path, store.keeps_previous) == (path, False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"repository": "acme/feedback"}, "nobody can tell whose is replaced: say adopt: true"),
        ({**REPOSITORY, "adopt": False}, "nobody can tell whose is replaced: say adopt: true"),
        (ADOPTED, "either a repository or an organization"),
        ({**REPOSITORY, "organization": "acme"}, "either a repository or an organization"),
        ({**ADOPTED, "organization": "acme", "environment": "a"}, "an environment belongs to a repository"),
        ({**ADOPTED, "repository": "feedback"}, "match pattern"),
        ({**ADOPTED, "repository": "acme/feedback/../x"}, "match pattern"),
        ({**ADOPTED, "organization": "a/b"}, "match pattern"),
        ({**REPOSITORY, "name": "1st"}, "match pattern"),
        ({**REPOSITORY, "name": "github_x"}, "start with GITHUB_"),
        ({**REPOSITORY, "name": "ENV_FILE"}, "the name of a whole file"),
        ({**REPOSITORY, "name": "prod_env_file"}, "let the workflow append it"),
        ({**REPOSITORY, "name": "DOTENV"}, "the name of a whole file"),
        ({**REPOSITORY, "name": "env"}, "the name of a whole file"),
        ({**REPOSITORY, "name": "APP_CONFIG_JSON"}, "the name of a whole file"),
        ({**REPOSITORY, "name": "application_yml"}, "the name of a whole file"),
        ({**REPOSITORY, "format": "dotenv"}, "Extra inputs are not permitted"),
        ({**REPOSITORY, "environment": ""}, "at least 1 character"),
        ({**REPOSITORY, "environment": ".."}, "not dots only"),
        ({**ADOPTED, "repository": "acme/.."}, "match pattern"),
        ({**REPOSITORY, "create": True, "visibility": "all"}, "visibility belongs to an organization"),
        ({**ADOPTED, "organization": "acme", "visibility": "all"}, "visibility belongs to an organization"),
        ({**ADOPTED, "organization": "acme", "create": True}, "and is needed there"),
        ({**ADOPTED, "organization": "acme", "create": True, "visibility": "selected"}, "'private' or 'all'"),
    ],
)
def test_a_wrong_configuration_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        GithubActionsStore(**fields)


def test_a_configuration_is_checked_without_the_client() -> None:
    """Dag parsing must not pay for it."""
    code = (
        "import sys; from featurebase_provider.stores.registry import store_class;"
        "store_class('github_actions')(repository='a/b', adopt=True);"
        "assert not {'github', 'nacl', 'airflow', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_provider_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.github.hooks.github", None)
    with pytest.raises(StoreUnusable, match=r"pip install 'airflow-provider-featurebase\[github_actions\]'"):
        GithubActionsStore(**REPOSITORY).arm()


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"password": ""}, "makes no client"),
        ({"password": HELD, "host": "http://github.example"}, "plain http"),
    ],
)
def test_a_connection_of_no_use_is_named(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, str], words: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HUB", json.dumps({"conn_type": "github", **connection}))
    store = GithubActionsStore(**REPOSITORY, conn_id="hub")
    with raises_saying(words, StoreUnusable, store.full_name):
        store.arm()


def test_the_client_neither_waits_nor_retries_by_itself(case: GithubRepositoryCase) -> None:
    """The hook's own client would wait a second between writes, and retry for minutes."""
    armed = case.config(timeout=2.5).arm()
    settings = armed._client.requester.kwargs
    assert (settings["timeout"], settings["retry"]) == (3, 0)
    assert (settings["seconds_between_requests"], settings["seconds_between_writes"]) == (0, 0)


def test_converging_writes_each_time_and_believes_the_answer(case: GithubRepositoryCase) -> None:
    armed = case.config().arm()
    rule = WriteRule(MARK.webhook_id, MARK.managed_from, adopt=True)
    for _ in range(2):
        assert converge(armed, SigningSecret(NEW), rule) is True
    seen = case.seen()
    assert seen is not None
    assert seen.current == NEW
    with pytest.raises(StoreForeignValue):
        converge(armed, SigningSecret(NEW), WriteRule(MARK.webhook_id, MARK.managed_from))


def test_nothing_but_look_and_put_is_between_refresh_and_written(case: GithubRepositoryCase) -> None:
    """The public key is there by then."""
    armed = case.config().arm()
    held = armed.read()
    case.github.requests.clear()
    write_to(armed, pair(NEW), held=held, mark=MARK)
    path = f"{case.config().path}/{NAME}"
    assert case.github.requests == [("GET", path), ("PUT", path)]


def test_a_token_that_may_only_read_is_found_beforehand(case: GithubRepositoryCase) -> None:
    before = case.evidence()
    with case.writing_denied() as config, raises_saying("403 to DELETE", StoreRefused, config.full_name):
        config.arm().prove_writable()
    assert case.evidence() == before


def test_the_audience_of_an_organizations_secret_stays() -> None:
    """Private and selected ones keep what they have; a new one gets what the configuration says."""
    case = GithubOrganizationCase()
    armed = case.config(create=True).arm()
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    found = case.github.places[case.place][NAME]
    assert (found["visibility"], found["repositories"]) == ("private", [])
    write_to(armed, pair(THEIRS), held=armed.read(), mark=MARK)
    assert case.github.places[case.place][NAME]["visibility"] == "private"
    case.put(HELD)
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    found = case.github.places[case.place][NAME]
    assert (found["visibility"], found["repositories"], found["value"]) == ("selected", case.repositories, NEW)
    case.close()


def test_a_connection_closed_between_read_and_write_is_opened_again(case: GithubRepositoryCase) -> None:
    with relay_to("127.0.0.1", case.github.port) as relay:
        armed = case.config(conn_id=case.connection("rotation", relay.port)).arm()
        held = armed.read()
        relay.cut()
        write_to(armed, pair(NEW), held=held, mark=MARK)
        armed.close()
    seen = case.seen()
    assert seen is not None
    assert seen.current == NEW


def test_a_silent_github_costs_one_timeout(case: GithubRepositoryCase) -> None:
    """PyGithub counts in whole seconds."""
    with relay_to("127.0.0.1", case.github.port) as relay:
        config = case.config(conn_id=case.connection("rotation", relay.port), timeout=1)
        armed = config.arm()
        held = armed.read()
        relay.fall_silent()
        with raises_saying("ReadTimeout", StoreUnreachable, config.full_name):
            write_to(armed, pair(NEW), held=held, mark=MARK)
        armed.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (301, StoreRefused),
        (401, StoreRefused),
        (403, StoreRefused),
        (Refusal(403, f"API rate limit exceeded {HELD}", X_RateLimit_Remaining="0"), StoreUnreachable),
        (Refusal(403, f"secondary rate limit {HELD}", Retry_After="60"), StoreUnreachable),
        (404, StoreRefused),
        (409, StoreRefused),
        (422, StoreRefused),
        (429, StoreUnreachable),
        (500, StoreUnreachable),
        (503, StoreUnreachable),
    ],
    ids=lambda fault: getattr(fault, "message", str(fault))[:20],
)
def test_every_answer_is_translated_quietly(
    case: GithubRepositoryCase, fault: int | Refusal, kind: type[StoreError]
) -> None:
    """The fake quotes the request in its errors; nothing is repeated."""
    config = case.config()
    armed = config.arm()
    held = armed.read()
    case.github.faults.extend([None, fault])
    with raises_quietly(kind, config.full_name):
        write_to(armed, pair(NEW), held=held, mark=MARK)
    assert not case.github.faults
    seen = case.seen()
    assert seen is not None
    assert seen.current == HELD


@pytest.mark.parametrize("elsewhere", ["https://127.0.0.1:1/x", "http://other.example/x"])
def test_a_redirect_elsewhere_is_not_followed(case: GithubRepositoryCase, elsewhere: str) -> None:
    config = case.config()
    armed = config.arm()
    held = armed.read()
    case.github.faults.extend([None, Refusal(301, "Moved Permanently", Location=elsewhere)])
    with raises_quietly(StoreUnreachable, config.full_name):
        write_to(armed, pair(NEW), held=held, mark=MARK)


@pytest.mark.parametrize("fault", ["garbage", "drop"])
def test_no_answer_is_no_absence(case: GithubRepositoryCase, fault: str) -> None:
    config = case.config()
    case.github.faults.extend([fault, fault])
    with raises_quietly(StoreUnreachable, config.full_name):
        config.arm().read()


def test_an_answer_without_a_key_is_no_answer(case: GithubRepositoryCase, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = case.config().arm()
    monkeypatch.setattr(armed, "_ask", lambda *args: {"unexpected": 1})
    with pytest.raises(StoreUnreachable, match="not what it documents"):
        armed.read()


def test_a_new_public_key_in_between_is_fetched_by_the_next_try(case: GithubRepositoryCase) -> None:
    armed = case.config().arm()
    held = armed.read()
    case.github.key_id = "2"
    with pytest.raises(StoreRefused):
        write_to(armed, pair(NEW), held=held, mark=MARK)
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)


def test_a_secret_that_somebody_removed_is_a_conflict(case: GithubRepositoryCase) -> None:
    armed = case.config(create=True).arm()
    held = armed.read()
    case.remove()
    with pytest.raises(StoreConflict):
        write_to(armed, pair(NEW), held=held, mark=MARK)


def test_an_app_logs_in(case: GithubRepositoryCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token is fetched with the first request; if that fails, the error is one of ours."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    host = f"http://127.0.0.1:{case.github.port}/api/v3"
    extra = {"app_id": 1, "installation_id": 2, "private_key": pem}
    monkeypatch.setenv("AIRFLOW_CONN_APP", json.dumps({"conn_type": "github", "host": host, "extra": extra}))
    config = case.config(conn_id="app")
    armed = config.arm()
    case.github.faults.append(401)
    with raises_saying("401 to the log-in", StoreRefused, config.full_name):
        armed.read()
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert seen.current == NEW


def test_nothing_is_logged_that_shows_a_value(
    case: GithubRepositoryCase, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyGithub logs requests and answers at debug level: the sealed box is all that they hold."""
    monkeypatch.setattr(logging.root.manager, "disable", 0)
    for name in ("github.Requester", "urllib3.connectionpool"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        monkeypatch.setattr(logging.getLogger(name), "handlers", [caplog.handler])
        caplog.set_level(logging.DEBUG, name)
    armed = case.config().arm()
    armed.prove_writable()
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert "encrypted_value" in caplog.text
    assert not [value for value in (*ALL_VALUES, "token rotation") if value in caplog.text]
