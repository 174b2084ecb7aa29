"""Store types of other distributions are checked like our own."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING, Literal, NoReturn

import pytest
from pydantic import BaseModel, ConfigDict

from featurebase_provider.config import ConfigError
from featurebase_provider.stores import plug_ins as module
from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.registry import BUILT_IN

if TYPE_CHECKING:
    from featurebase_provider.rotation.store import ArmedStore


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    region: str


class OurOwnStore(StoreConfig):
    type: Literal["our_own"] = "our_own"
    part: Part | None = None
    slot: bool | int = 0

    @property
    def target(self) -> str:
        return f"our-own:{self.slot}"

    def arm(self) -> ArmedStore:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def plug_ins(monkeypatch):
    points = EntryPoints(
        (
            EntryPoint("our_own", f"{__name__}:OurOwnStore", module.ENTRY_POINT_GROUP),
            EntryPoint("broken", "no_such_module_anywhere:Store", module.ENTRY_POINT_GROUP),
        )
    )
    monkeypatch.setattr(module, "entry_points", points.select)
    load = EntryPoint.load
    monkeypatch.setattr(EntryPoint, "load", lambda point: OurOwnStore if point.name == "our_own" else load(point))


def with_store(one_webhook, store: str) -> str:
    return one_webhook().replace("{type: airflow_variable, name: signing}", store)


def test_a_plug_in_store_is_made_by_its_class(load, one_webhook):
    (store,) = load(with_store(one_webhook, "{type: our_own, slot: 7, part: {region: eu}}")).webhooks[0].stores
    assert (store.target, store.label) == ("our-own:7", "our_own")


TYPES = sorted([*BUILT_IN, "broken", "our_own"])


@pytest.mark.parametrize(
    ("store", "field", "words"),
    [
        ("{type: our_own, part: {regoin: eu, region: eu}}", ".part.regoin", "did you mean region? (allowed: region)"),
        ("{type: our_own, part: {}}", ".part.region", "is required"),
        ("{type: own}", ".type", f'"own" is no store type; allowed: {", ".join(TYPES)}'),
        ("{type: broken}", ".type", "entry point featurebase_provider.stores: broken = no_such_module_anywhere:Store"),
    ],
)  # fmt: skip
def test_its_fields_are_named_as_ours_are(faults, one_webhook, store, field, words):
    ((line, where, message),) = faults(with_store(one_webhook, store))
    assert (line, where) == (4, f"webhooks[0].stores[0]{field}")
    assert words in message


def test_the_branches_of_a_union_do_not_show_in_the_field(faults, one_webhook):
    """Pydantic names the branch that failed; the file has no such field."""
    found = faults(with_store(one_webhook, "{type: our_own, slot: x}"))
    assert {(line, field) for line, field, _ in found} == {(4, "webhooks[0].stores[0].slot")}


def test_a_plug_in_that_raises_something_else_is_a_fault_too(load, one_webhook, monkeypatch):
    """A store class of somebody else's cannot break the whole Dag file with a bare traceback."""

    def bad(*_: object) -> NoReturn:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(OurOwnStore, "model_validate", bad)
    with pytest.raises(ConfigError, match=r"its store type fails with RuntimeError") as caught:
        load(with_store(one_webhook, "{type: our_own}"))
    assert "hunter2" not in str(caught.value)
