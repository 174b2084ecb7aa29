"""A row of a database table, read and written by statements."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.featurebase.text import what_became_of
from featurebase_provider.featurebase.trial_secret import trial_before
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore
from featurebase_provider.stores.shared.refusals import changed_since
from featurebase_provider.stores.shared.text import bare_secret
from featurebase_provider.stores.sql.session import TransactionLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.stores.shared.text import SecretText
    from featurebase_provider.stores.sql.session import Run, SqlSession
    from featurebase_provider.stores.sql.statement import SqlPlan

Row = tuple[str | None, ...]
"""The texts of our columns."""


class ArmedSql(ConnectingStore["SqlSession"]):
    """The statements over a connection.

    :param text: how the secret lies in the row's first text.
    """

    def __init__(self, name: str, open_session: Callable[[], SqlSession], plan: SqlPlan, text: SecretText) -> None:
        super().__init__(name, open_session)
        self._plan, self._text = plan, text

    def prove_writable(self) -> Writability:
        """Write each kind of pair as :meth:`write` does, run what waits for a commit, and roll back."""
        held = self.read()
        if "webhook_id" in self._plan.write.names and not self.trial_mark.webhook_id:
            return Writability(False, "not provable: write_sql has :webhook_id, and the webhook's id is not known yet")
        for pair in self._tried(held):
            self._write("trial", pair, held, replace(self.trial_mark, fingerprint=pair.current.fingerprint))
        return Writability(True, "each kind of write ran in a transaction that was rolled back")

    def _tried(self, held: StoredValue) -> tuple[SecretPair, ...]:
        """What a run may write, and a shorter secret: a column of fixed length fills it up with blanks."""
        keeps_previous = self._plan.has_previous or self._text.keeps_previous
        shorter = SigningSecret(self.trial.reveal()[:-1])
        short = SecretPair(shorter, trial_before(shorter) if keeps_previous else None)
        return (*self.trials(held, keeps_previous=keeps_previous), short)

    def read(self) -> StoredValue:
        """Read the row in a read-only transaction."""
        with self.client.transaction("read") as run:
            row = self._row(run)
        stored = self._text.stored(_first(row), exists=row is not None, version=row)
        if row is not None and self._plan.has_previous:
            return replace(stored, previous=bare_secret(self.name, row[1], "the place of the previous secret"))
        return stored

    def look_again(self, held: StoredValue) -> None:
        """Begin the transaction of the write, and read the row in it: the statement and the commit are left.

        A SQLite file is local, and its transaction would keep other writers waiting: there the write looks itself.
        """
        if not self.client.can_wait:
            return
        with self.client.begun(held.version) as run:
            self._check_same(self._row(run), held)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Write the row in the transaction of the look; without one, read it again in a transaction of the write."""
        if held.version is not None and _same(held.version, self._wanted(held.version, pair)):
            return
        try:
            with self.client.continued(held.version) as run:
                self._change(run, "write", pair, held, mark)
        except TransactionLost:
            self._write("write", pair, held, mark)

    def _write(self, purpose: Literal["write", "trial"], pair: SecretPair, held: StoredValue, mark: StoreMark) -> None:
        with self.client.transaction(purpose) as run:
            self._check_same(self._row(run), held)
            self._change(run, purpose, pair, held, mark)

    def _check_same(self, row: Row | None, held: StoredValue) -> None:
        if row != held.version:
            raise changed_since(self.name, "the row")

    def _change(
        self, run: Run, purpose: Literal["write", "trial"], pair: SecretPair, held: StoredValue, mark: StoreMark
    ) -> None:
        """Run the statement, and see that the row then shows what was written."""
        row: Row | None = held.version
        wanted = self._wanted(row, pair)
        facts = {"secret": wanted[0], "previous": (*wanted, None)[1], "expected": row[0] if row else None}
        marked = {"webhook_id": mark.webhook_id, "fingerprint": mark.fingerprint}
        statement = self._plan.create if row is None else self._plan.write
        parameters = {**self._plan.fixed, **facts, **marked}
        if purpose == "trial":
            _, changed = run(statement, parameters)
            self.client.run_deferred()
            seen = self._row(run)
        else:
            rows, changed = run(statement, parameters, then=self._plan.read)
            seen = self._row_in(rows)
        self._check_shown(seen, wanted, changed)

    def _check_shown(self, seen: Row | None, wanted: Row, changed: int) -> None:
        if seen is not None and _same(seen, wanted):
            return
        if changed == 0:
            raise StoreRefused(
                self.name,
                "the write ran and changed no row; it was rolled back",
                "Check its WHERE (null equals nothing: write IS NOT DISTINCT FROM :expected), triggers, rules and "
                "row-level security",
            )
        which, how = _first_change(seen, wanted)
        raise StoreRefused(
            self.name,
            f"the write ran, but the row does not show it: {which} {how}; it was rolled back",
            "Check that both statements mean the same row, the column's type, and triggers, views and masks",
        )

    def _wanted(self, row: Row | None, pair: SecretPair) -> Row:
        """The row's texts that hold the pair."""
        text = self._text.edited(_first(row), pair, exists=row is not None)
        previous = pair.previous.reveal() if pair.previous else None
        return (text, previous) if self._plan.has_previous else (text,)

    def _row(self, run: Run) -> Row | None:
        rows, _ = run(self._plan.read, self._plan.fixed)
        return self._row_in(rows)

    def _row_in(self, rows: list[tuple[Any, ...]]) -> Row | None:
        """The one row that ``read_sql`` must find."""
        if not rows:
            return None
        if len(rows) > 1:
            raise StoreRefused(self.name, "more than one row is found; nothing was changed", "Name exactly one")
        columns = 2 if self._plan.has_previous else 1
        if len(rows[0]) != columns:
            raise StoreRefused(
                self.name,
                f"read_sql returns {len(rows[0])} columns, not {columns}; nothing was changed",
                "It must return the secret, and the previous one if write_sql has :previous",
            )
        for value in rows[0]:
            if value is not None and not isinstance(value, str):
                raise StoreRefused(
                    self.name,
                    f"the column holds a {type(value).__name__}, not a text; nothing was changed",
                    "Name a column of text; a part of a document is read and written by read_sql and write_sql",
                )
        return rows[0]


def _first(row: Row | None) -> str | None:
    """The text that holds the secret; an empty one holds nothing."""
    return (row[0] or None) if row else None


def _same(row: Row, wanted: Row) -> bool:
    """An empty text is no secret, as null is."""
    return [text or None for text in row] == [text or None for text in wanted]


def _first_change(seen: Row | None, wanted: Row) -> tuple[str, str]:
    shown: Any = seen or (None,) * len(wanted)
    which, text, written = next(
        (which, text, written)
        for which, text, written in zip(("the secret", "the previous secret"), shown, wanted, strict=False)
        if (text or None) != written
    )
    if not text:
        return which, "is not there"
    return which, f"comes back {what_became_of(written, text) or 'as another text'}" if written else "is still there"
