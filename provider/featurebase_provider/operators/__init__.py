"""Airflow's operators, and what their tasks share.

Operators use what they share as attributes (``operators.context``), which loads it on first use: parsing a Dag loads
none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.late import modules_of

if TYPE_CHECKING:
    from featurebase_provider.operators import (
        context,
        end_state,
        figures,
        finding,
        memory,
        one_entry,
        stores,
    )

__all__ = [
    "context",
    "end_state",
    "figures",
    "finding",
    "memory",
    "one_entry",
    "stores",
]

if not TYPE_CHECKING:  # or type checkers would accept any attribute
    __getattr__ = modules_of(__name__, __all__)
