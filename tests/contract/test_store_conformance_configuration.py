"""What is wrong with a store's configuration is said before anything is asked of its server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from featurebase_provider.rotation.errors import StoreUnusable
from tests.contract.store_case import not_applicable, ready

if TYPE_CHECKING:
    from tests.contract.store_case import StoreCase


def test_a_missing_connection_is_named(case: StoreCase) -> None:
    """Nothing else that is wrong with a connection reads like one that is not there."""
    config = case.config()
    if "conn_id" not in type(config).model_fields or getattr(config, "local_path", None):
        not_applicable("this store has no connection")
    with pytest.raises(StoreUnusable, match="no Airflow connection nowhere|no connection 'nowhere'"):
        ready(case.config(conn_id="nowhere"))


def test_the_previous_secret_has_a_place_of_its_own(case: StoreCase) -> None:
    """It would replace the current one."""
    config = case.config()
    names = [name for name in ("key", "entry", "field") if getattr(config, name, None)]
    if not names or f"previous_{names[-1]}" not in type(config).model_fields:
        not_applicable("its configuration names no key")
    with pytest.raises(ValidationError, match=r"must differ|of its own|must lie beside"):
        case.config(**{f"previous_{names[-1]}": getattr(config, names[-1])})
