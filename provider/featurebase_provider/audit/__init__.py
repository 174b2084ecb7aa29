"""The audit's rules. Knows no Airflow.

Operators use its modules as attributes (``audit.run``), which loads them on first use: parsing a Dag loads none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.late import modules_of

if TYPE_CHECKING:
    from featurebase_provider.audit import (
        findings,
        listing,
        report,
        run,
    )

__all__ = [
    "findings",
    "listing",
    "report",
    "run",
]

if not TYPE_CHECKING:  # or type checkers would accept any attribute
    __getattr__ = modules_of(__name__, __all__)
