"""What a database's error means, told by its code and the names that come with it; its text may quote values."""

from __future__ import annotations

import re
from typing import Any

from featurebase_provider.featurebase.text import clean_text
from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable

_UNKNOWN = "whether a write arrived is unknown until the store is read"
_CONFLICTS = {"40001", "40P01"}
"""Serialization failure, deadlock: somebody else wrote in between."""
TRANSACTION_ENDED = {"25P03", "25P04"}
"""By the server: it was idle too long, or took too long. The connection is closed, too."""
_PASSING = {"57014", "55P03", *TRANSACTION_ENDED}
"""Cancelled (by the timeout), lock not available, and these."""
_PASSING_CLASSES = {"08", "53", "57"}
"""Connection failure, too few resources, server shutting down or starting."""
_TAKEN = {"23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
"""A unique constraint: the row was inserted by somebody else, or another row has the value."""
_READ_ONLY = "25006"
_SQLSTATE = 5
"""Characters of a code of PostgreSQL."""
_POOLER = "08P01"
_POOLER_ADVICE = "See that it answers. A pooler before it must keep one server for a whole transaction"

_SQLITE_PASSING = (
    "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_INTERRUPT",
    "SQLITE_READONLY_DBMOVED",  # the file was replaced by another since it was opened
)  # fmt: skip
_UNNAMED = {3091: "SQLITE_CONSTRAINT_DATATYPE"}
"""Codes that Python's module has no name for."""
_SQLITE_CONSTRAINT = re.compile(r"(NOT NULL|UNIQUE|CHECK) constraint failed: (.+)", re.DOTALL)

_NO_NULL = (
    "Without a previous secret null is written there: let the column take it, or write empty_previous: true "
    "(in write_sql, coalesce(:previous, '')) for an empty text. Any other column needs a default"
)
_NO_TEXT = "The column must take any text; for a part of a document write read_sql and write_sql"
_CHECKED = "A signing secret is a text in mixed case, of no documented length: let the column take such a text"
_RAISED = "A trigger or a function of the database raised it, which says more in the server's log"
_ADVICE = {
    "22001": "Make the column wide enough for a secret of any length: text, or varchar(255)",
    "22P02": _NO_TEXT,
    "42804": _NO_TEXT,
    "SQLITE_CONSTRAINT_DATATYPE": _NO_TEXT,
    "23502": _NO_NULL,
    "SQLITE_CONSTRAINT_NOTNULL": _NO_NULL,
    "23514": _CHECKED,
    "SQLITE_CONSTRAINT_CHECK": _CHECKED,
    "P0001": _RAISED,
    "SQLITE_CONSTRAINT_TRIGGER": _RAISED,
}
_POSTGRES_ADVICE = "Check table, columns and statements, and what the connection's user may do"
_SQLITE_ADVICE = "Check that the file exists and may be written, and table, columns and statements"


def postgres_error(store: str, error: Exception, *, broken: bool) -> StoreError:
    """Tell refusal, conflict and outage apart.

    :param error: what psycopg or psycopg2 raised.
    :param broken: whether its class is one for connections that fail; it then needs no code.
    """
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is None and not broken:
        return _refused(store, error.__class__.__name__, "", _POSTGRES_ADVICE)
    if state in _CONFLICTS:
        return StoreConflict(store, f"somebody else wrote in between ({state}); nothing was changed")
    if state == _READ_ONLY:  # passes where a fail-over or a full disk is the cause
        return StoreUnreachable(
            store,
            f"the server takes no writes ({state}); nothing was changed",
            "It is a standby, or its transactions are read-only by default: name the primary, for instance by "
            '{"target_session_attrs": "read-write"} in the connection\'s extra',
        )
    if state is None or state in _PASSING or state[:2] in _PASSING_CLASSES:
        return StoreUnreachable(
            store,
            f"PostgreSQL did not answer in time ({state or error.__class__.__name__}); {_UNKNOWN}",
            _POOLER_ADVICE if state == _POOLER else "",
        )
    return _refused(store, state, _names_in(getattr(error, "diag", None)), _POSTGRES_ADVICE)


def sqlite_error(store: str, error: Exception) -> StoreError:
    """The same for SQLite."""
    constraint = _SQLITE_CONSTRAINT.match(str(error))
    code: int = getattr(error, "sqlite_errorcode", 0)
    name = _UNNAMED.get(code) or getattr(error, "sqlite_errorname", None) or _name_of(error, constraint)
    if name.startswith(_SQLITE_PASSING):
        return StoreUnreachable(store, f"the database is in use or its disk fails ({name}); {_UNKNOWN}")
    named = clean_text(constraint[2]) if constraint and name != "SQLITE_CONSTRAINT_TRIGGER" else ""
    return _refused(store, name, named, _SQLITE_ADVICE)


def _refused(store: str, code: str, named: str, usual: str) -> StoreError:
    seen = f"SQLSTATE {code}" if len(code) == _SQLSTATE else code
    seen += f": {named}" if named else ""
    if code in _TAKEN:
        return StoreConflict(
            store, f"somebody else wrote in between, or another row holds the same ({seen}); nothing was changed"
        )
    return StoreRefused(store, f"the database refused it ({seen}); nothing was changed", _ADVICE.get(code, usual))


def _names_in(diagnosis: Any) -> str:
    told = {kind: getattr(diagnosis, f"{kind}_name", None) for kind in ("constraint", "column", "table")}
    return clean_text(", ".join(f"{kind} {name}" for kind, name in told.items() if name))


def _name_of(error: Exception, constraint: re.Match[str] | None) -> str:
    # Python 3.10 gives no code; SQLite's own texts for these never change and quote no value.
    if constraint:
        return f"SQLITE_CONSTRAINT_{constraint[1].replace(' ', '')}"
    return "SQLITE_BUSY" if "is locked" in str(error) else error.__class__.__name__
