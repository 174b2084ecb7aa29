from __future__ import annotations

import logging

import pytest

from featurebase_provider.stores.shared.connection import quieten


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (logging.NOTSET, logging.INFO),
        (logging.DEBUG, logging.INFO),
        (logging.INFO, logging.INFO),
        (logging.ERROR, logging.ERROR),
    ],
)
def test_nothing_below_info_and_no_more_than_was_wanted(before: int, after: int) -> None:
    """A logger that was set to DEBUG by name is quietened too; one that says less goes on doing so."""
    logger = logging.getLogger("a.vendor's.client")
    logger.setLevel(before)
    quieten((logger.name,))
    assert logger.level == after
