"""What an audit finds about a pair of webhooks and its stores."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.audit.findings import Finding
from featurebase_provider.featurebase.errors import ApiUnreachable
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.history import History, KnownSecret
from featurebase_provider.rotation.moves import Move, Moves
from tests.unit.audit.fakes import Auditing, FakeConnection, a_pair, a_subject, numbered, webhook_id
from tests.world.fakes import START, MemoryStore, a_logged_refresh, fingerprint, secret

ONE, TWO = webhook_id(1), webhook_id(2)
LONG_AGO = timedelta(hours=9)


def half(number: int, held: str, status: str = "active", **facts: Any) -> Webhook:
    return numbered(number, f"whsec_{held}", status=status, **facts)


def delivered(**facts: Any) -> dict[str, Any]:
    """Facts of a webhook that has delivered something, and was changed last an hour ago."""
    last = {"code": 200, "message": "OK", "timestamp": START - timedelta(days=1)}
    return {"last_status": last, "updated_at": START - timedelta(hours=1), **facts}


def moved(ago: timedelta, webhook_id: str = ONE, **facts: Any) -> Move:
    return Move(webhook_id, (START - ago).isoformat(), **facts)


def store(current: str | None, previous: str | None = None, **facts: Any) -> MemoryStore:
    held = {"value": secret(current) if current else None, "previous": secret(previous) if previous else None}
    return MemoryStore("vault", **held, keeps_previous=True, **facts)


class RemembersPairs(Auditing):
    """Earlier runs recorded these secrets of the halves, by webhook id."""

    def __init__(self, *webhooks: Webhook, moves: Moves | None = None, **histories: History) -> None:
        super().__init__({"main": FakeConnection(list(webhooks))})
        self.moves = moves or Moves()
        self.histories = {ONE: histories.get("one"), TWO: histories.get("two")}

    def _history(self, subject: Any, host: str, webhook_id: str) -> History:
        return self.histories[webhook_id] or super()._history(subject, host, webhook_id)


def recorded(*names: str, refreshed: timedelta | None = None, leaked: tuple[str, ...] = ()) -> History:
    """A history of secrets; the last one is current."""
    at = (START - refreshed).isoformat() if refreshed is not None else None
    known = [KnownSecret(fingerprint(name)) for name in names[:-1]]
    known.append(KnownSecret(fingerprint(names[-1]), refreshed_at=at, first_seen=at))
    return History("?", tuple(known), frozenset(fingerprint(name) for name in leaked))


def audited(*webhooks: Webhook, stores: Any = None, moves: Moves | None = None, **how: Any) -> list[Finding]:
    histories = {name: how.pop(name) for name in ("one", "two") if name in how}
    subject = a_pair(stores=[store("a")] if stores is None else stores, **{"max_age": None, **how})
    return list(RemembersPairs(*webhooks, moves=moves, **histories).run(subject).findings)


def only(*webhooks: Webhook, **how: Any) -> Finding:
    (finding,) = audited(*webhooks, **how)
    return finding


WELL = (half(1, "a"), half(2, "b", "paused"))


@pytest.mark.parametrize("held", [("a", None), ("a", "b"), ("b", "a")])
def test_one_active_and_one_paused_is_what_a_pair_should_be(held: tuple[str, str | None]) -> None:
    """The standby has delivered, so stores may hold its secret for a while, in either place."""
    assert audited(half(1, "a"), half(2, "b", "paused", **delivered()), stores=[store(*held)]) == []


def test_the_report_shows_both_halves() -> None:
    auditing = RemembersPairs(*WELL)
    report = auditing.run(a_pair(stores=[store("a")]))
    (row,) = report.webhooks
    assert (row.webhook_id, row.status, row.fingerprint) == (ONE, "active", fingerprint("a"))
    assert [(one.webhook_id, one.status, one.fingerprint) for one in row.halves] == [
        (ONE, "active", fingerprint("a")),
        (TWO, "paused", fingerprint("b")),
    ]
    assert type(report).from_json(report.as_json()).webhooks == report.webhooks
    text = report.as_text()
    assert all(words in text for words in ("active", "its pair", "paused", fingerprint("b"), "1 match"))


def test_the_row_is_about_the_live_half() -> None:
    report = RemembersPairs(half(1, "a", "paused"), half(2, "b")).run(a_pair(stores=[store("b")]))
    assert (report.findings, report.webhooks[0].webhook_id) == ((), TWO)


def test_a_row_of_an_older_version_is_read() -> None:
    report = RemembersPairs(*WELL).run(a_pair())
    raw = report.as_json()
    del raw["webhooks"][0]["halves"]
    assert type(report).from_json(raw).webhooks[0].halves == ()


BOTH = (half(1, "a"), half(2, "b"))


@pytest.mark.parametrize(
    ("moves", "found", "heals"),
    [
        (Moves(), True, False),
        (Moves(activated=moved(timedelta(minutes=5), TWO)), False, False),
        (Moves(activated=moved(timedelta(minutes=74), TWO)), False, False),
        (Moves(activated=moved(timedelta(minutes=76), TWO)), True, True),
        # A run paused a half since, so a person set it active again.
        (Moves(activated=moved(timedelta(minutes=5), TWO), paused=moved(timedelta(minutes=4), ONE)), True, False),
        # The run was about to pause it.
        (
            Moves(activated=moved(timedelta(minutes=5), TWO), paused=moved(timedelta(minutes=4), ONE, done=False)),
            False,
            False,
        ),
    ],
)
def test_both_live_unless_a_run_moves_the_deliveries(moves: Moves, found: bool, heals: bool) -> None:
    findings = audited(*BOTH, stores=[store("a", "b")], moves=moves)
    assert [(one.kind, one.heals) for one in findings] == ([("both_live", heals)] if found else [])


def test_both_live_is_looked_at_again() -> None:
    """The list was read in the moment in which a run paused the old half."""
    auditing = RemembersPairs(*BOTH)
    auditing.connections["main"].unlisted[ONE] = half(1, "a", "paused", **delivered())
    assert auditing.run(a_pair(stores=[store("a", "b")], max_age=None)).findings == ()
    assert auditing.connections["main"].reads == [ONE, TWO]


def test_none_live() -> None:
    finding = only(half(1, "a", "suspended"), half(2, "b", "paused"), stores=[store("a", "b")])
    assert (finding.kind, finding.heals) == ("none_live", False)
    assert f"{ONE} is 'suspended'" in finding.detail
    assert f"{TWO} is 'paused'" in finding.detail


def test_a_suspended_standby_is_found() -> None:
    """No run refreshes it."""
    finding = only(half(1, "a"), half(2, "b", "suspended"))
    assert (finding.kind, finding.webhook_id, finding.heals) == ("webhook_inactive", TWO, False)


def test_halves_that_differ() -> None:
    finding = only(half(1, "a"), half(2, "b", "paused", topics=("post.updated",)))
    assert (finding.kind, finding.heals) == ("pair_differs", False)
    assert "differ in topics" in finding.detail


@pytest.mark.parametrize(
    ("held", "kind", "words"),
    [
        (("b", None), "store_differs", f"but not the secret {fingerprint('a')} of webhook {ONE}"),
        (("a", "older"), "store_differs", f"{fingerprint('older')}, which is no longer the secret of either webhook"),
        (("theirs", None), "store_foreign", "adopt: true"),
        (("a", "theirs"), "store_foreign", "holds a previous value"),
        ((None, None), "store_absent", "holds no secret"),
        (("a\n", None), "store_differs", "white space"),
    ],
)
def test_stores_are_judged_by_both_places(held: tuple[str | None, str | None], kind: str, words: str) -> None:
    finding = only(half(1, "a"), half(2, "b", "paused", **delivered()), stores=[store(*held)], one=recorded("older"))
    assert (finding.kind, finding.store) == (kind, "vault")
    assert words in finding.detail
    assert finding.heals == (kind != "store_foreign")


def test_every_active_half_is_needed() -> None:
    moves = Moves(activated=moved(timedelta(minutes=5), TWO))
    finding = only(*BOTH, stores=[store("a")], moves=moves)
    assert (finding.kind, f"of webhook {TWO}" in finding.detail, finding.heals) == ("store_differs", True, True)


PAUSED_LONG_AGO = Moves(activated=moved(LONG_AGO + timedelta(hours=1), ONE), paused=moved(LONG_AGO, TWO))


@pytest.mark.parametrize("held", [("a", "b"), ("b", "a")])
def test_an_old_secret_that_stayed_too_long(held: tuple[str, str]) -> None:
    pair = (half(1, "a"), half(2, "b", "paused", **delivered()))
    finding = only(*pair, stores=[store(*held)], moves=PAUSED_LONG_AGO)
    assert (finding.kind, finding.store, finding.heals) == ("drain_overdue", "vault", True)
    assert f"has delivered nothing since {PAUSED_LONG_AGO.paused.at}" in finding.detail  # type: ignore[union-attr]
    in_time = Moves(paused=moved(timedelta(hours=7), TWO))
    assert audited(*pair, stores=[store(*held)], moves=in_time) == []


@pytest.mark.parametrize(("ago", "found"), [(None, True), (timedelta(hours=7), False), (LONG_AGO, True)])
def test_a_secret_that_lies_in_both_places(ago: timedelta | None, found: bool) -> None:
    """The second step, after which the store holds one secret."""
    paused = moved(timedelta(hours=20), TWO)
    moves = Moves(paused=paused, drained=moved(ago, ONE) if ago is not None else None)
    findings = audited(half(1, "a"), half(2, "b", "paused", **delivered()), stores=[store("a", "a")], moves=moves)
    assert [(one.kind, one.heals) for one in findings] == ([("drain_overdue", True)] if found else [])


@pytest.mark.parametrize(("ago", "found"), [(timedelta(minutes=5), False), (LONG_AGO, True)])
def test_a_secret_that_a_failed_run_left_is_called_harmless(ago: timedelta, found: bool) -> None:
    """While a run may still be between rotate and activate it is no finding."""
    paused = moved(timedelta(days=20), TWO)
    for moves, facts in ((Moves(paused=paused), delivered()), (Moves(), {})):
        findings = audited(
            half(1, "a"),
            half(2, "b", "paused", **facts),
            stores=[store("a", "b")],
            moves=moves,
            two=recorded("b", refreshed=ago),
        )
        assert [(one.kind, one.heals) for one in findings] == ([("drain_overdue", True)] if found else [])
        assert all("does no harm: nothing is signed with it" in one.detail for one in findings)


def test_a_leaked_secret_of_either_half() -> None:
    """What Featurebase signs with is not for a store to mend; anything else that leaked is removed from it."""
    leaked = recorded("older", "a", leaked=("older", "a"))
    findings = audited(*WELL, stores=[store("a", "older")], one=leaked)
    assert [(one.kind, one.store, one.heals) for one in findings] == [
        ("leaked_secret_current", None, False),
        ("leaked_secret_held", "vault", False),
    ]
    standby = recorded("older", "b", leaked=("older", "b"))
    findings = audited(half(1, "a"), half(2, "b", "paused", **delivered()), stores=[store("a", "b")], two=standby)
    assert [(one.kind, one.webhook_id, one.heals) for one in findings] == [
        ("leaked_secret_current", TWO, False),
        ("leaked_secret_held", ONE, True),
    ]
    assert "which is not active" in findings[0].detail


def test_age_is_that_of_the_live_half() -> None:
    history = {"one": recorded("a", refreshed=timedelta(days=91)), "two": recorded("b", refreshed=timedelta(days=1))}
    finding = only(*WELL, max_age=timedelta(days=90), **history)
    assert (finding.kind, finding.detail) == ("secret_overdue", "the secret is 91 d old, max_age is 90 d")
    other_way = (half(1, "a", "paused"), half(2, "b"))
    assert audited(*other_way, stores=[store("b")], max_age=timedelta(days=90), **history) == []


def test_a_refresh_by_hand_of_either_half() -> None:
    auditing = RemembersPairs(
        *WELL, one=recorded("a", refreshed=timedelta(days=9)), two=recorded("b", refreshed=LONG_AGO)
    )
    by_hand = a_logged_refresh(START - timedelta(hours=1), TWO)
    auditing.connections["main"].log = [by_hand]
    (finding,) = auditing.run(a_pair(stores=[store("a")])).findings
    assert (finding.kind, finding.webhook_id) == ("rotated_elsewhere", TWO)


def test_a_half_that_is_missing() -> None:
    finding = only(half(1, "a"))
    assert (finding.kind, finding.webhook_id) == ("webhook_missing", TWO)


def test_a_pair_of_which_a_half_could_not_be_read_is_not_judged() -> None:
    auditing = RemembersPairs(half(2, "b", "paused"))
    auditing.connections["main"].unlisted[ONE] = ApiUnreachable("GET", f"/v2/webhooks/{ONE}", detail="ConnectTimeout")
    report = auditing.run(a_pair(stores=[store("a")]))
    assert [one.kind for one in report.findings] == ["featurebase_unreachable"]
    assert [one.holding for one in report.webhooks[0].stores] == ["not_compared"]


def test_both_ids_are_configured_and_taken() -> None:
    auditing = RemembersPairs(*WELL, half(3, "c"))
    findings = auditing.run(a_pair(stores=[store("a")]), a_subject("staging", number=2, stores=[store("b")])).findings
    assert [(one.kind, one.webhook_id) for one in findings if one.kind.startswith("webhook_")] == [
        ("webhook_twice", TWO),
        ("webhook_inactive", TWO),
        ("webhook_unconfigured", webhook_id(3)),
    ]


def test_failing_deliveries_of_the_live_half_only() -> None:
    failing = {"health": {"consecutiveFailures": 7}}
    finding = only(half(1, "a", **failing), half(2, "b", "paused", **failing))
    assert (finding.kind, finding.webhook_id) == ("delivery_failing", ONE)
