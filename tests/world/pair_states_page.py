"""Writes docs/pair-states.md from the product of a pair's states. Usage: python -m tests.world.pair_states_page"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.world import cut_over_states
from tests.world.pair_states import COUNT, HELD, LEAKED, MODES, RECORDS, STATUSES, A, Answer, all_slots, planned_states

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from featurebase_provider.rotation.pair import Roles

PAGE = Path(__file__).parents[2] / "docs" / "pair-states.md"

HEAD = """\
# All states of a pair

What a run does with a pair of webhooks ([overlap](overlap.md)) in every state: made by `make pair-states` from the
rules in `rotation/`. A test fails if this page is out of date, and each state is a test of what must hold in it.

**A** and **B** are the two webhooks. A delivered before the cut-over that the records tell of, B after it; without a
cut-over neither is special. `previous_for` is 8 hours here. A store has two slots, written *current / previous*.

{counts}

States with the same answer share a row; *any* stands for all values of a column.
"""

FIRST = """\
## What each webhook does, and what the stores must hold

The first column is the mode of the run. *Emergency* has a Dag of its own, which refreshes both webhooks; the row says
what its stores hold meanwhile. The secret that is named first is the one that an empty store gets as *current*. *A
repeated slot is emptied* if both slots hold the same secret and no reader can depend on the second any more.

A run that refreshes sends nothing before every store's *current* is the active webhook's secret.
"""

SECOND = """\
## What a store holds next

One write changes both slots at once, but a reader may read one before it and the other after it. So a secret that is
needed never moves from one slot to the other.
"""

THIRD = """\
## The next step of a cut-over

B was set active, and A delivers still, or did. A step other than to wait is taken only if two reads in a row ask for
it. *Changed* means that a person refreshed the secret since the receiver was probed with it.
"""

EMPTIED = "a repeated slot is emptied"
Row = tuple["frozenset[Hashable]", ...]


def merged(rows: Mapping[tuple[Hashable, ...], Hashable]) -> list[tuple[Row, Hashable]]:
    """Put states with the same answer together, as long as a row still is a product of values.

    :param rows: the answer for each state.
    """
    found: list[tuple[Row, Hashable]] = [
        (tuple(frozenset([v]) for v in state), answer) for state, answer in rows.items()
    ]
    while True:
        before = len(found)
        for column in range(len(found[0][0])):
            together: dict[Any, frozenset[Hashable]] = {}
            for row, answer in found:
                key = (row[:column], row[column + 1 :], answer)
                together[key] = together.get(key, frozenset()) | row[column]
            found = [((*left, values, *right), answer) for (left, right, answer), values in together.items()]
        if len(found) == before:
            return found


def short(refusal: str) -> str:
    """A refusal in few words: its first clause, without ids and times."""
    text = re.split(r"; nothing was changed|\. |\(previous_for", refusal)[0]
    text = re.sub(r"webhook (?=[ab]{24})", "", text).replace(A, "A").replace("b" * 24, "B")
    return re.sub(r" until \d{4}-\S+", "", text).strip().rstrip(",")


def words(values: frozenset[Hashable], every: Sequence[str]) -> str:
    """The values of one column of a row."""
    return "any" if len(values) == len(every) else " or ".join(str(value) for value in every if value in values)


def said(roles: Roles) -> str:
    """What each half does."""
    names = {A: "A", "b" * 24: "B"}
    to = names[roles.moves_to]
    if roles.was_live == roles.moves_to:
        return "moves no deliveries"
    moves = f"deliveries move from {names[roles.was_live]} to {to}"
    return moves if roles.refreshes is None else f"{names[roles.refreshes]} is refreshed, and {moves}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table's lines."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def first_rows() -> list[list[str]]:
    """For every state but for what the store holds."""
    answers: dict[tuple[Hashable, ...], Hashable] = {}
    for planned in planned_states():
        state, chosen = planned.state, planned.roles
        if isinstance(chosen, str):
            answer = (f"refused: {short(chosen)}", "", "")
        else:
            needed = " and ".join(_half_of(half.webhook_id) for half in planned.wanted.needed)
            does = "both are refreshed" if state.mode == "emergency" else said(chosen)
            answer = (does, needed, "yes" if planned.wanted.may_empty else "")
        answers[state.mode, state.a, state.b, state.records, state.leaked] = answer
    values = (MODES, STATUSES, STATUSES, tuple(RECORDS), LEAKED)
    return [
        [*(words(column, every) for column, every in zip(row, values, strict=True)), *answer]  # type: ignore[misc]
        for row, answer in merged(answers)
    ]


def _half_of(webhook_id: str) -> str:
    return "A's" if webhook_id == A else "B's"


def second_rows() -> list[list[str]]:
    """For all that a store holds, by what it must hold."""
    answers: dict[tuple[Hashable, ...], Hashable] = {}
    for planned in planned_states():
        if isinstance(planned.roles, str):
            continue
        for slots in all_slots():
            answer = planned.answer(*slots)
            key = (" and ".join(answer.needed), planned.state.leaked, "yes" if answer.may_empty else "no", *slots)
            does = _store_words(answer, slots)
            assert answers.setdefault(key, does) == does, f"what a store holds depends on more than {key}"
    needed = tuple(dict.fromkeys(str(key[0]) for key in answers))
    values = (needed, LEAKED, ("yes", "no"), tuple(HELD), tuple(HELD))
    return [
        [*(words(column, every) for column, every in zip(row, values, strict=True)), str(answer)]
        for row, answer in merged(answers)
    ]


def _store_words(answer: Answer, before: tuple[str, str]) -> str:
    if answer.refused:
        return f"not written: {answer.refused}"
    return "as before" if answer.slots == before else " / ".join(answer.slots)


def third_rows() -> list[list[str]]:
    """For every state of a cut-over."""
    answers = {state.key: state.step.replace("_", " ") for state in cut_over_states.all_states()}
    return [
        [*(words(column, every) for column, every in zip(row, cut_over_states.VALUES, strict=True)), str(answer)]
        for row, answer in merged(answers)
    ]


def page() -> str:
    """The page."""
    first, second, third = first_rows(), second_rows(), third_rows()
    stores = len(HELD) ** 2
    counts = (
        f"{COUNT:,} states of a run and a store ({COUNT // stores:,} of the pair, each with {stores} of a store) in\n"
        f"{len(first)} and {len(second)} rows, and {cut_over_states.COUNT:,} states of a cut-over in {len(third)} rows."
    )
    lines = [
        HEAD.format(counts=counts),
        FIRST,
        *table(
            ("mode", "A", "B", "records", "leaked", "the run", "stores must hold", "a repeated slot is emptied"), first
        ),
        "",
        SECOND,
        *table(
            ("must hold", "leaked", "a repeated slot is emptied", "current", "previous", "current / previous then"),
            second,
        ),
        "",
        THIRD,
        *table((*cut_over_states.COLUMNS, "next step"), third),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
