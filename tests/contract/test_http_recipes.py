"""The recipes of docs/stores/http/, as the pages show them, against stand-ins for the vendors' APIs."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from requests import Session

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreConflict, StoreForeignValue, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.rotation.two_secrets import HalfSecret, TwoSecrets
from featurebase_provider.stores.http import HttpStore
from tests.contract.store_case import ALL_VALUES, HELD, HELD_PREVIOUS, NEW, THEIRS, ready, write_to
from tests.servers.hosting_apis import (
    HOSTING_APIS,
    NEIGHBOUR,
    READER,
    STRANGER,
    WRITER,
    Doppler,
    Gitlab,
    HostingApi,
    Vercel,
)
from tests.world.converge import converge
from tests.world.recipes import FOLDER, block, recipe

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "here")
ROTATION_FILE = "Rotation file"


@cache
def served(api: type[HostingApi]) -> HostingApi:
    return api()


@pytest.fixture(params=HOSTING_APIS, ids=lambda api: api.page.removesuffix(".md"))
def api(request: pytest.FixtureRequest) -> HostingApi:
    api = served(request.param)
    api.reset()
    api.put(api.current, HELD)
    if api.previous:
        api.put(api.previous, HELD_PREVIOUS)
    return api


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Callable[..., HttpStore]:
    """The page's own lines, with the host and the token of the stand-in, and an adopted value where it must be."""

    def made(api: HostingApi, token: str = WRITER, heading: str = ROTATION_FILE, **changes: Any) -> HttpStore:
        config = HttpStore(**{**recipe(f"http/{api.page}", heading), **changes})
        connection = json.loads(block(f"http/{api.page}", "Connection", "json").replace("<token>", token))
        connection["host"] = api.url + urlsplit(connection["host"]).path
        monkeypatch.setenv(f"AIRFLOW_CONN_{config.conn_id.upper()}", json.dumps(connection))
        return config

    return made


def rule(config: HttpStore, *known: str) -> WriteRule:
    fingerprints = frozenset(fingerprint_of(value) for value in known)
    return WriteRule(
        MARK.webhook_id, "here", known=fingerprints, adopt=config.adopt, keeps_previous=config.keeps_previous,
        replaces=fingerprint_of(HELD),
    )  # fmt: skip


def reads_back(config: HttpStore) -> bool:
    return config.read is not None


def said(error: BaseException) -> str:
    """What it says, once it is sure that it quotes no value and no token."""
    text = str(error)
    assert not [value for value in (*ALL_VALUES, NEIGHBOUR, WRITER, READER, STRANGER) if value in text]
    return text


def test_each_page_has_its_stand_in() -> None:
    assert {path.name for path in (FOLDER / "http").glob("*.md")} == {api.page for api in HOSTING_APIS}


def test_a_rotation(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    """Preflight changes nothing; the write changes the secret and, where the recipe keeps it, the one before."""
    before, writes = dict(api.values), api.writes
    armed = ready(config := store(api))
    proof = armed.prove_writable()
    assert "not prov" in proof.detail
    assert not proof.proven
    assert (api.values, api.writes) == (before, writes)
    held = armed.read()
    if reads_back(config):
        assert held.current == SigningSecret(HELD)
        assert held.previous == (SigningSecret(HELD_PREVIOUS) if api.previous else None)
    assert converge(armed, SigningSecret(NEW), rule(config, HELD, HELD_PREVIOUS))
    wanted = {"DATABASE_URL": NEIGHBOUR, api.current: NEW} | ({api.previous: HELD} if api.previous else {})
    assert api.values == wanted
    if reads_back(config):
        assert armed.read().current == SigningSecret(NEW)
        assert not converge(armed, SigningSecret(NEW), rule(config, HELD))
    armed.close()


def test_the_previous_secret_is_dropped(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    if not api.previous:
        pytest.skip("the recipe keeps none")
    armed = ready(store(api))
    write_to(armed, SecretPair(SigningSecret(HELD), None), held=armed.read(), mark=MARK)
    assert api.values.get(api.previous) in {None, ""}
    assert api.values[api.current] == HELD
    held = armed.read()
    assert (held.current, held.previous) == (SigningSecret(HELD), None)
    write_to(armed, SecretPair(SigningSecret(NEW), SigningSecret(HELD)), held=held, mark=MARK)
    assert (api.values[api.current], api.values[api.previous]) == (NEW, HELD)


def test_a_pair_of_webhooks(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    """Published beside the live secret, in its place too, and alone; a change of the previous one alone is noticed."""
    if not api.previous:
        pytest.skip("the recipe keeps none")
    armed = ready(config := store(api))
    live, fresh = HalfSecret(MARK.webhook_id, SigningSecret(HELD)), HalfSecret("f" * 24, SigningSecret(NEW))
    terms = replace(rule(config, HELD, HELD_PREVIOUS), halves=frozenset({live.webhook_id, fresh.webhook_id}))
    held = armed.read()
    api.put(api.previous, THEIRS)
    with pytest.raises(StoreConflict):
        converge(armed, TwoSecrets(fresh.secret, (live, fresh)), terms, held=held)
    with pytest.raises(StoreForeignValue):
        converge(armed, TwoSecrets(fresh.secret, (live, fresh)), terms)
    assert (api.values[api.current], api.values[api.previous]) == (HELD, THEIRS)
    api.put(api.previous, HELD_PREVIOUS)
    for wanted, current, previous in (
        (TwoSecrets(fresh.secret, (live, fresh)), HELD, NEW),
        (TwoSecrets(fresh.secret, (fresh,)), NEW, NEW),
        (TwoSecrets(fresh.secret, (fresh,), may_empty=True), NEW, None),
    ):
        assert converge(armed, wanted, terms)
        assert (api.values[api.current], api.values.get(api.previous) or None) == (current, previous)
        assert not converge(armed, wanted, terms)
    armed.close()


def test_a_wrong_token_is_refused_before_the_refresh(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    before = dict(api.values)
    armed = ready(store(api, STRANGER))
    with pytest.raises(StoreRefused) as caught:
        armed.prove_writable()
    assert f"answered {api.no_token}" in said(caught.value)
    with pytest.raises(StoreRefused) as caught:
        write_to(armed, SecretPair(SigningSecret(NEW), None), held=ready(store(api)).read(), mark=MARK)
    said(caught.value)
    assert api.values == before


def test_a_token_that_may_only_read(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    """Where preflight can't tell, it does not say "proven"; the write is refused, and nothing changes."""
    before = dict(api.values)
    armed = ready(config := store(api, READER))
    if config.check and config.check.method != "GET":
        with pytest.raises(StoreRefused, match="answered 403"):
            armed.prove_writable()
    else:
        assert not armed.prove_writable().proven
    with pytest.raises(StoreRefused) as caught:
        write_to(armed, SecretPair(SigningSecret(NEW), None), held=armed.read(), mark=MARK)
    assert "answered 403" in said(caught.value)
    assert api.values == before


def test_a_missing_place(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    """It is not made unasked; with create: true it is, where the page says that the service can."""
    api.reset()
    armed = ready(config := store(api))
    with pytest.raises(StoreRefused):
        armed.prove_writable()
    assert set(api.values) == {"DATABASE_URL"}
    if not reads_back(config):
        return
    with pytest.raises(StoreRefused):
        write_to(armed, SecretPair(SigningSecret(NEW), None), held=armed.read(), mark=MARK)
    armed = ready(store(api, create=True))
    held = armed.read()
    assert held.current is None
    if api.makes:
        armed.prove_writable()
        write_to(armed, SecretPair(SigningSecret(NEW), None), held=held, mark=MARK)
        assert api.values[api.current] == NEW
    else:
        with pytest.raises(StoreRefused):
            write_to(armed, SecretPair(SigningSecret(NEW), None), held=held, mark=MARK)
        assert set(api.values) == {"DATABASE_URL"}
        assert "`create: true` does not help" in (FOLDER / "http" / api.page).read_text()


def test_a_value_of_somebody_else(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    armed = ready(config := store(api))
    if not reads_back(config):
        pytest.skip("nobody can tell")
    with pytest.raises(StoreForeignValue):
        converge(armed, SigningSecret(NEW), rule(config))
    assert api.values[api.current] == HELD


def test_somebody_else_writes_in_between(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    """The store looks again just before it writes."""
    armed = ready(config := store(api))
    if not reads_back(config):
        pytest.skip("nobody can tell")
    if "version" in config.write.used:
        pytest.skip("the service compares, see below")
    held = armed.read()
    api.put(api.current, THEIRS)
    with pytest.raises(StoreConflict) as caught:
        write_to(armed, SecretPair(SigningSecret(NEW), None), held=held, mark=MARK)
    said(caught.value)
    assert api.values[api.current] == THEIRS


def test_too_many_requests_are_tried_again_later(api: HostingApi, store: Callable[..., HttpStore]) -> None:
    armed = ready(config := store(api))
    held = armed.read()
    api.busy = True
    calls = [armed.prove_writable, lambda: write_to(armed, SecretPair(SigningSecret(NEW), None), held=held, mark=MARK)]
    for call in [*calls, *([armed.read] if reads_back(config) else [])]:
        with pytest.raises(StoreUnreachable) as caught:
            call()
        said(caught.value)
    assert api.values[api.current] == HELD


def test_doppler_compares_in_the_service(store: Callable[..., HttpStore], monkeypatch: pytest.MonkeyPatch) -> None:
    """A write between our last look and ours: it is not overwritten, and the read-back shows that ours was not made."""
    api = served(Doppler)
    api.reset()
    api.values |= {api.current: HELD, "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS": ""}
    armed = ready(store(api))
    held = armed.read()
    send = Session.request

    def overtaken(session: Session, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "POST":
            api.values[api.current] = THEIRS
        return send(session, method, *args, **kwargs)

    monkeypatch.setattr(Session, "request", overtaken)
    write_to(armed, SecretPair(SigningSecret(NEW), SigningSecret(HELD)), held=held, mark=MARK)
    assert api.values[api.current] == THEIRS
    assert armed.read().current == SigningSecret(THEIRS)


def test_values_that_are_never_shown_are_refused_in_preflight(
    store: Callable[..., HttpStore], monkeypatch: Any
) -> None:
    """Vercel's "sensitive" and GitLab's hidden variables: a store that can't read them back must not seem to."""
    for kind, value in ((Vercel, ""), (Gitlab, HELD)):
        api = served(kind)
        api.reset()
        api.values[api.current] = value
        monkeypatch.setattr(Gitlab, "hidden", True)
        with pytest.raises(StoreRefused, match=r"shows nothing at the JSONPath read\.current"):
            ready(store(api)).prove_writable()


def test_a_whole_env_file_in_a_gitlab_variable(store: Callable[..., HttpStore]) -> None:
    api = served(Gitlab)
    api.reset()
    text = "# of the app\nHOST=a\nFEATUREBASE_WEBHOOK_SECRET={}\nDEBUG=1\n"
    api.values["ENV_FILE"] = text.format(HELD)
    armed = ready(config := store(api, heading="A whole env file in one variable"))
    armed.prove_writable()
    assert converge(armed, SigningSecret(NEW), rule(config, HELD))
    before, old = text.format(NEW), f"FEATUREBASE_WEBHOOK_SECRET_PREVIOUS={HELD}"
    assert [line for line in api.values["ENV_FILE"].splitlines() if line != old] == before.splitlines()
    assert old in api.values["ENV_FILE"]
    raw = {"format": "raw", "entry": None, "previous_entry": None, "adopt": True}
    with pytest.raises(StoreRefused, match="dotenv"):
        ready(store(api, heading="A whole env file in one variable", **raw)).prove_writable()
