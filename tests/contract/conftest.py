from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.store_case import StoreCase

CASES = {
    "local_raw": "tests.contract.local_file_cases:LocalRawCase",
    "local_json": "tests.contract.local_file_cases:LocalJsonCase",
    "local_dotenv": "tests.contract.local_file_cases:LocalDotenvCase",
    "memory_json": "tests.contract.memory_case:MemoryJsonCase",
    "s3_json": "tests.contract.s3_cases:S3JsonCase",
    "variable_raw": "tests.contract.variable_cases:VariableRawCase",
    "variable_json": "tests.contract.variable_cases:VariableJsonCase",
}
"""Every store that has to conform; a new store adds a line and a case file."""


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Iterator[StoreCase]:
    module, _, name = CASES[request.param].partition(":")
    built: StoreCase = getattr(import_module(module), name)()
    yield built
    built.close()
