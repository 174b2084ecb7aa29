"""What preflight tries at GitHub before a secret is refreshed that could not be written afterwards."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.trial_secret import trial_like
from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable
from featurebase_provider.stores.github_actions import GithubActionsStore
from tests.contract.github_actions_cases import GithubEnvironmentCase, GithubOrganizationCase, GithubRepositoryCase
from tests.contract.store_case import HELD, NEW, ready, write_to
from tests.contract.test_store_conformance import MARK, pair

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = [(GithubRepositoryCase, 100), (GithubEnvironmentCase, 100), (GithubOrganizationCase, 1000)]


@pytest.fixture(params=CASES, ids=lambda case: case[0].__name__)
def case(request: pytest.FixtureRequest) -> Iterator[tuple[GithubRepositoryCase, int]]:
    built = request.param[0]()
    yield built, request.param[1]
    built.close()


def test_preflight_leaves_no_trace(case: tuple[GithubRepositoryCase, int]) -> None:
    """No trial secret is made: a workflow that passes all its secrets on would see it."""
    built, _ = case
    built.put(HELD)
    before = built.evidence()
    built.github.requests.clear()
    proof = ready(built.config()).prove_writable()
    assert (proof.proven, "not provable" in proof.detail) == (False, True)
    assert built.evidence() == before
    assert not [url for method, url in built.github.requests if method == "PUT"]


def test_a_place_that_is_full(case: tuple[GithubRepositoryCase, int]) -> None:
    """Only what is created needs room."""
    built, most = case
    secrets = built.github.places[built.place]
    secrets |= {f"OTHER_{number}": {} for number in range(most - len(secrets))}
    with pytest.raises(StoreRefused, match=f"there are {most} secrets, and GitHub allows {most}"):
        ready(built.config(create=True)).prove_writable()
    del secrets["OTHER_1"]
    ready(built.config(create=True)).prove_writable()


@pytest.mark.parametrize("key", ["", "not base64", base64.b64encode(b"short").decode(), "ä"])
def test_a_public_key_that_seals_nothing_is_found_before_the_refresh(key: str) -> None:
    built = GithubRepositoryCase()
    try:
        built.put(HELD)
        built.github.public_key = key
        armed = ready(built.config())
        held = armed.read()
        with pytest.raises(StoreUnreachable, match="can't be used to seal a secret"):
            armed.prove_writable()
        with pytest.raises(StoreUnreachable, match="can't be used to seal a secret"):
            write_to(armed, pair(NEW), held=held, mark=MARK)
    finally:
        built.close()


def test_a_secret_that_is_too_long() -> None:
    built = GithubRepositoryCase()
    try:
        built.put(HELD)
        armed = ready(built.config())
        armed.trial = trial_like(pair("whsec_" + "a" * 48 * 1024).current)
        with pytest.raises(StoreRefused, match="48 KB"):
            armed.prove_writable()
    finally:
        built.close()


@pytest.mark.parametrize("name", ["FEATUREBASE_WEBHOOK_SECRET", "ENV_SECRET", "PROD_ENV_SECRET", "JSON_WEBHOOK_SECRET"])
def test_names_of_a_secret_alone(name: str) -> None:
    assert GithubActionsStore(repository="acme/feedback", adopt=True, name=name).name == name
