from __future__ import annotations

import inspect
import pickle
import pkgutil
import re
from importlib import import_module
from typing import Any

import pytest

import featurebase_provider
from featurebase_provider.featurebase import errors as all_errors
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation import errors
from featurebase_provider.rotation.errors import (
    EmergencyNotDone,
    MemorySpoilt,
    MemoryUnknown,
    ProbeFailed,
    RotationError,
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreUnreachable,
)
from tests.world.fakes import WEBHOOK_ID


def kinds_of(base: type[Any]) -> list[type[Any]]:
    found = [base, *(kind for one in base.__subclasses__() for kind in kinds_of(one))]
    return [kind for kind in found if kind.__module__ == errors.__name__]


KINDS = [*kinds_of(RotationError), EmergencyNotDone, *kinds_of(StoreError)]


def an_error(kind: type[Any]) -> Any:
    if issubclass(kind, StoreError):
        return kind("vault (vault://a)", "it said no", "Ask it")
    if issubclass(kind, MemoryUnknown):
        return kind(WEBHOOK_ID, "the_variable", "could not be read")
    if issubclass(kind, ProbeFailed):
        return kind(WEBHOOK_ID, "it said no", "accepts_anything")
    if kind is EmergencyNotDone:
        return kind(["production (incomplete)"], 2)
    return kind(WEBHOOK_ID, "it said no")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_whole_out_of_another_process(kind: type[Any]) -> None:
    error = an_error(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.args, vars(copy)) == (kind, str(error), error.args, vars(error))
    assert "None" not in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_made_again_of_its_args(kind: type[Any]) -> None:
    """However it was made: so pickle and copy do it."""
    error = an_error(kind)
    names = list(inspect.signature(kind).parameters)
    named = kind(**dict(zip(names, error.args, strict=True)))
    again = kind(*named.args)
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_the_overview_says_which_errors_a_retry_helps() -> None:
    """Airflow retries by what the class says, and people read the overview."""
    rows = re.findall(r"^\W*(\w+) {2,}.* {2,}(retry|do not retry)$", str(errors.__doc__), re.MULTILINE)
    assert {name: word == "retry" for name, word in rows} == {
        kind.__name__: kind.retry_helps for kind in KINDS if kind not in (RotationError, StoreError)
    }


def test_no_error_of_a_rotation_is_declared_elsewhere() -> None:
    """People look into one place, and the tests above see all of them."""
    elsewhere = ("dags", "cli", "sandbox")  # Dag files; and what a person reads at once, who needs no overview
    for module in pkgutil.walk_packages(featurebase_provider.__path__, f"{featurebase_provider.__name__}."):
        if module.name.split(".")[1] not in elsewhere:
            import_module(module.name)
    kinds = [kind for kind in _below(FeaturebaseError) if kind.__module__.split(".")[1] not in elsewhere]
    assert [kind for kind in kinds if issubclass(kind, RotationError) and kind.__module__ != errors.__name__] == []
    tops = [kind.__name__ for kind in kinds if FeaturebaseError in kind.__bases__]
    assert [name for name in tops if f" {name} " not in str(all_errors.__doc__)] == []


def _below(base: type[Any]) -> list[type[Any]]:
    found = [kind for one in base.__subclasses__() for kind in (one, *_below(one))]
    return [kind for kind in found if kind.__module__.startswith(featurebase_provider.__name__)]


def test_an_error_tells_where_it_was() -> None:
    error = an_error(ProbeFailed)
    assert (error.webhook_id, error.problem, error.kind) == (WEBHOOK_ID, "it said no", "accepts_anything")
    assert str(error) == f"webhook {WEBHOOK_ID}: it said no"
    assert ProbeFailed(WEBHOOK_ID, "it said no").kind == "refused"


def test_a_store_error_says_what_failed_how_things_stand_and_what_to_do() -> None:
    error = StoreRefused("vault", "it said no")
    assert str(error) == f"store vault: it said no. {StoreRefused.usual_advice}"
    error.state = "Nothing was refreshed"
    assert str(error) == f"store vault: it said no. Nothing was refreshed. {StoreRefused.usual_advice}"
    assert str(StoreUnreachable("vault", "no answer")) == f"store vault: no answer. {StoreUnreachable.usual_advice}"
    assert str(StoreUnreachable("vault", "no answer", "Look")) == "store vault: no answer. Look"
    assert str(StoreConflict("vault", "it changed")) == "store vault: it changed"


@pytest.mark.parametrize("kind", [MemoryUnknown, MemorySpoilt])
def test_an_unknown_record_is_named_with_how_things_stand_and_what_to_do(kind: type[MemoryUnknown]) -> None:
    error = an_error(kind)
    assert (error.name, error.why) == ("the_variable", "could not be read")
    assert f"webhook {WEBHOOK_ID}: the Variable the_variable" in error.summary
    assert str(error) == f"{error.summary}. {MemoryUnknown.state}. {kind.advice}"
