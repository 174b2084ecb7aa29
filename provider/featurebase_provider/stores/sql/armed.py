"""A row of a database table, read and written by statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore, secret_or_none
from featurebase_provider.stores.shared.refusals import changed_since, not_there

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.stores.sql.session import Run, SqlSession
    from featurebase_provider.stores.sql.statement import SqlPlan

_TRIAL_MARK = StoreMark("0" * 24, f"sha256:{'0' * 16}", "")


class ArmedSql(ConnectingStore["SqlSession"]):
    """The statements over a connection."""

    def __init__(self, name: str, open_session: Callable[[], SqlSession], plan: SqlPlan) -> None:
        super().__init__(name, open_session)
        self._plan = plan

    def prove_writable(self) -> Writability:
        """Write a trial value of the same length, read it, and roll back."""
        with self.client.transaction("trial") as run:
            row = self._row(run)
            trial = "whsec_".ljust(max(32, len((row or (None,))[0] or "")), "0")
            if self._put(run, row, (trial, f"{trial[:-1]}1"), _TRIAL_MARK):
                return Writability(True, "the statements ran in a transaction that was rolled back")
        return Writability(False, "write_sql picks its row by :webhook_id, which only the real write knows")

    def read(self) -> StoredValue:
        """Read the row in a read-only transaction."""
        with self.client.transaction("read") as run:
            row = self._row(run)
        current, previous = (*(row or ()), None, None)[:2]
        may_be_made = row is not None or self._plan.create is not None
        return StoredValue(secret_or_none(current), secret_or_none(previous), version=row, may_be_made=may_be_made)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Read the row again, write it and read it back, all in one transaction."""
        wanted = pair.current.reveal(), pair.previous.reveal() if pair.previous else None
        if held.version is not None and self._same(held.version, wanted):
            return
        with self.client.transaction("write") as run:
            row = self._row(run)
            if row != held.version:
                raise changed_since(self.name, "the row")
            if not self._put(run, row, wanted, mark):
                raise StoreRefused(self.name, "write_sql changed no row for this webhook id; nothing was changed")

    def _put(self, run: Run, row: tuple[Any, ...] | None, wanted: tuple[str, str | None], mark: StoreMark) -> bool:
        """Write; False if no row has the webhook's id."""
        statement = self._plan.write if row is not None else self._plan.create
        if statement is None:
            raise not_there(self.name, "there is no such row", "Insert it")
        facts = {"secret": wanted[0], "previous": wanted[1], "expected": row[0] if row else None}
        _, changed = run(
            statement, {**self._plan.fixed, **facts, "webhook_id": mark.webhook_id, "fingerprint": mark.fingerprint}
        )
        if changed == 0 and "webhook_id" in statement.names:
            return False
        if changed == 0 and "expected" in statement.names:
            raise StoreConflict(self.name, "no row holds the expected value any more; nothing was changed")
        seen = self._row(run)
        if seen is None or not self._same(seen, wanted):
            raise StoreRefused(
                self.name,
                "the write ran, but the row does not show it; it was rolled back",
                "Check that both statements mean the same row, and its triggers and row-level security",
            )
        return True

    def _same(self, row: tuple[Any, ...], wanted: tuple[str, str | None]) -> bool:
        return tuple(value or None for value in row) == wanted[: len(row)]

    def _row(self, run: Run) -> tuple[Any, ...] | None:
        rows, _ = run(self._plan.read, self._plan.fixed)
        if not rows:
            return None
        if len(rows) > 1:
            raise StoreRefused(self.name, "more than one row is found; nothing was changed", "Name exactly one")
        columns = 2 if self._plan.keeps_previous else 1
        if len(rows[0]) != columns:
            raise StoreRefused(
                self.name,
                f"read_sql returns {len(rows[0])} columns, not {columns}; nothing was changed",
                "It must return the secret, and the previous one if write_sql has :previous",
            )
        for value in rows[0]:
            if value is not None and not isinstance(value, str):
                raise StoreRefused(
                    self.name, f"the column holds a {type(value).__name__}, not a text; nothing was changed"
                )
        return rows[0]
