from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from featurebase_provider.audit.findings import Finding
from featurebase_provider.audit.run import AuditPorts, run_audit
from featurebase_provider.featurebase.errors import (
    ApiUnreachable,
    AuthenticationFailed,
    FeaturebaseError,
    PermissionDenied,
    SettingsInvalid,
    UnexpectedAnswer,
)
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import MemoryUnknown, StoreUnreachable
from featurebase_provider.rotation.store import StoreMark
from tests.unit.audit.fakes import Auditing, FakeConnection, a_subject, numbered, webhook_id
from tests.world.fakes import START, MemoryStore, a_logged_refresh, failing, fingerprint, secret

UNREACHABLE = ApiUnreachable("GET", "/v2/webhooks", detail="ConnectTimeout")
KEY_REFUSED = AuthenticationFailed("GET", "/v2/webhooks", 401)
ODD = UnexpectedAnswer("GET", "/v2/webhooks", 200, detail="data.3.topics is no list")


def holding(name: str = "0", label: str = "vault") -> MemoryStore:
    return MemoryStore(label, value=secret(name))


def kinds(report: Any) -> list[tuple[str, str]]:
    return [(one.where, one.kind) for one in report.findings]


def test_an_audit_reads_each_webhook_once_and_writes_nothing() -> None:
    """The list has all there is to know: no webhook is read by itself."""
    connection = FakeConnection([numbered(1), numbered(2)])
    stores = [holding(), holding(label="file")]
    auditing = Auditing({"main": connection})
    report = auditing.run(a_subject(stores=stores), a_subject("staging", number=2, stores=[holding()]))
    assert (report.findings, report.open, report.counts) == ((), (), {})
    assert (connection.lists, connection.reads, connection.closed) == (1, [], 1)
    assert [(row.name, row.status, row.fingerprint) for row in report.webhooks] == [
        ("production", "active", fingerprint("0")),
        ("staging", "active", fingerprint("0")),
    ]
    assert all(store.writes == [] for store in stores)
    assert auditing.said == ["Connection main: 2 webhooks", "production: well", "staging: well"]
    host = "https://do.featurebase.app"
    assert auditing.remembered == [("production", host, webhook_id(1)), ("staging", host, webhook_id(2))]
    assert {row.conn_id for row in report.webhooks} == {"main"}


def test_an_audit_log_that_cannot_be_read_is_said_once() -> None:
    """It is no finding; without it the audit does what it did before there was one."""
    connection = FakeConnection([numbered(1), numbered(2)], log=PermissionDenied("GET", "/v2/audit-logs", 403))
    auditing = Auditing({"main": connection})
    report = auditing.run(a_subject(stores=[holding()]), a_subject("staging", number=2, stores=[holding()]))
    assert report.findings == ()
    (said,) = [line for line in auditing.said if "audit log" in line]
    assert said.startswith("Connection main: the audit log can't be read, so ages come from earlier runs only (")


def test_the_audit_log_tells_how_old_a_secret_is() -> None:
    connection = FakeConnection([numbered(1)], log=[a_logged_refresh(START - timedelta(days=5), webhook_id(1))])
    (row,) = Auditing({"main": connection}).run(a_subject(stores=[holding()])).webhooks
    assert row.age == "5 d"


def test_a_report_says_when_it_was_made() -> None:
    """In UTC, to the second."""
    began = datetime.now(tz=timezone.utc)
    at = datetime.fromisoformat(Auditing({}).run().at)
    assert at.utcoffset() == timedelta(0)
    assert at.microsecond == 0
    assert began - timedelta(seconds=1) < at <= datetime.now(tz=timezone.utc)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KEY_REFUSED, "key_refused"),
        (PermissionDenied("GET", "/v2/webhooks", 403), "key_refused"),
        (UNREACHABLE, "featurebase_unreachable"),
        (SettingsInvalid("connection 'broken'", "Airflow has no such connection"), "connection_unusable"),
    ],
)
@pytest.mark.parametrize("when", ["refused", "fails"])
def test_a_broken_connection_costs_the_others_nothing(error: FeaturebaseError, kind: str, when: str) -> None:
    """Its webhooks can't be compared, their stores are looked at all the same; nobody asks it again."""
    broken = FakeConnection(**{when: error})  # type: ignore[arg-type]
    auditing = Auditing({"broken": broken, "main": FakeConnection([numbered(1)])})
    report = auditing.run(
        a_subject("first", "broken", 7, stores=[holding()]),
        a_subject("second", "broken", 8, stores=[MemoryStore("vault")]),
        a_subject(stores=[holding("old")]),
    )
    assert kinds(report) == [
        ("connection broken", kind),
        ("second, store vault", "store_absent"),
        ("production, store vault", "store_foreign"),
    ]
    assert (broken.reads, report.webhooks[0].status, report.webhooks[0].webhook_id) == ([], None, webhook_id(7))
    assert report.connections["main"] == "https://do.featurebase.app"
    assert str(error) in report.findings[0].detail
    assert (report.webhooks[0].age, report.webhooks[0].fingerprint) == (None, None)
    assert {host for _, host, _ in auditing.remembered} == {"https://do.featurebase.app"}, "none without a host"


def test_a_list_that_cannot_be_understood_is_replaced_by_single_reads() -> None:
    """Another product's webhook may look like nothing that is known; ours are audited all the same."""
    connection = FakeConnection([numbered(1)], fails=ODD, unlisted={webhook_id(2): numbered(2)})
    auditing = Auditing({"main": connection})
    report = auditing.run(
        a_subject(stores=[holding()]),
        a_subject("staging", number=2, stores=[holding("theirs")]),
        a_subject("named", number=None, webhook_name="Webhook 9", stores=[MemoryStore("vault")]),
    )
    assert kinds(report) == [
        ("connection main", "featurebase_unreachable"),
        ("staging, store vault", "store_foreign"),
        ("named, store vault", "store_absent"),
    ]
    assert [row.status for row in report.webhooks] == ["active", "active", None]
    assert "named" not in [name for name, *_ in auditing.remembered]


def test_a_list_that_broke_off_is_not_asked_for_more() -> None:
    cut = UnexpectedAnswer("GET", "/v2/webhooks", 200, body_broken=True)
    connection = FakeConnection(fails=cut)
    Auditing({"main": connection}).run(a_subject(stores=[holding()]))
    assert connection.reads == []


def test_a_webhook_that_is_gone_is_asked_for_by_its_id_before_it_counts_as_gone() -> None:
    connection = FakeConnection(unlisted={webhook_id(2): numbered(2), webhook_id(3): UNREACHABLE})
    report = Auditing({"main": connection}).run(
        a_subject("gone"), a_subject("late", number=2), a_subject("unlucky", number=3)
    )
    assert kinds(report) == [("gone", "webhook_missing"), ("unlucky", "featurebase_unreachable")]
    assert report.findings[1] == Finding(
        "featurebase_unreachable", str(UNREACHABLE), webhook="unlucky", conn_id="main", webhook_id=webhook_id(3)
    )
    assert [row.status for row in report.webhooks] == [None, "active", None]


def test_a_list_without_secrets_is_completed_by_reading() -> None:
    connection = FakeConnection([numbered(1, None)], unlisted={webhook_id(1): numbered(1)})
    report = Auditing({"main": connection}).run(a_subject(stores=[holding()]))
    assert (report.findings, connection.reads) == ((), [webhook_id(1)])


def test_a_webhook_is_found_by_its_exact_name() -> None:
    webhooks = [numbered(1, name="One"), numbered(2, name="Two"), numbered(3, name="Two")]
    report = Auditing({"main": FakeConnection(webhooks)}).run(
        a_subject("first", number=None, webhook_name="One"),
        a_subject("second", number=None, webhook_name="Two"),
        a_subject("third", number=None, webhook_name="Three\n"),
    )
    assert kinds(report)[:2] == [("second", "webhook_missing"), ("third", "webhook_missing")]
    assert webhook_id(3) in report.findings[0].detail
    assert "use webhook_id instead" in report.findings[0].detail
    assert "no webhook has the name 'Three'" in report.findings[1].detail
    assert report.webhooks[0].webhook_id == webhook_id(1)


def test_one_webhook_in_two_entries_is_found() -> None:
    """By its id in one and by its name in the other: only Featurebase knows."""
    auditing = Auditing({"main": FakeConnection([numbered(1)])})
    report = auditing.run(
        a_subject("first"), a_subject("second", number=None, webhook_name="Webhook 1", stores=[MemoryStore("vault")])
    )
    assert kinds(report) == [("second", "webhook_twice"), ("second, store vault", "store_absent")]
    assert "'first'" in report.findings[0].detail
    assert webhook_id(1) in report.findings[0].detail
    assert auditing.said[-1] == "second: webhook_twice, store_absent"


def test_webhooks_that_nobody_configured_are_found_once() -> None:
    """Two connections may lead to one workspace; other people's names are made harmless."""
    webhooks = [numbered(1), numbered(2, name="\x1b[31mred\n[bold]" + "x" * 200), numbered(3, status="paused")]
    connections = {"main": FakeConnection(webhooks), "same": FakeConnection(webhooks)}
    report = Auditing(connections).run(a_subject(), a_subject("third", "same", 3, allow_inactive=True))
    (finding,) = report.findings
    assert (finding.kind, finding.webhook_id, finding.webhook) == ("webhook_unconfigured", webhook_id(2), None)
    assert finding.conn_id == "main", "the first that leads there"
    assert finding.detail.isprintable()
    assert len(finding.detail) < 300


def test_a_dead_store_costs_no_other() -> None:
    dead = MemoryStore("dead")
    dead.read_script = deque([failing(StoreUnreachable("dead", "down"))])
    report = Auditing({"main": FakeConnection([numbered(1)])}).run(a_subject(stores=[dead, holding()]))
    assert kinds(report) == [("production, store dead", "store_unreachable")]
    assert [held.holding for held in report.webhooks[0].stores] == ["unknown", "matches"]


def test_drift_is_looked_at_again_before_it_is_reported() -> None:
    """A rotation under way: listed with the old secret, while the store holds the new one already."""
    connection = FakeConnection([numbered(1)], unlisted={webhook_id(1): numbered(1, "whsec_new")})
    never_shown = MemoryStore("b", readable=False, adopt=True)
    report = Auditing({"main": connection}).run(a_subject(stores=[holding("new"), never_shown]))
    assert (report.findings, connection.reads) == ((), [webhook_id(1)])
    assert report.webhooks[0].fingerprint == fingerprint("new")


@pytest.mark.parametrize(
    ("facts", "again"),
    [
        ({"value": secret("old"), "adopt": True}, True),
        ({"value": SigningSecret("whsec_0\n")}, True),
        ({"value": None}, True),
        ({"value": secret("0"), "finished": False}, True),
        ({"value": secret("theirs")}, True),
        ({"value": secret("0")}, False),
        ({"readable": False, "adopt": True}, False),
        ({"read_script": deque([failing(StoreUnreachable("a", "down"))])}, False),
    ],
    ids=["differs", "padded", "absent", "unfinished", "foreign", "matches", "not readable", "unknown"],
)
def test_whatever_a_rotation_under_way_can_look_like_is_looked_at_again(facts: dict[str, Any], again: bool) -> None:
    connection = FakeConnection([numbered(1)])
    Auditing({"main": connection}).run(a_subject(stores=[MemoryStore("a", **facts)]))
    assert connection.reads == ([webhook_id(1)] if again else [])


def test_what_cannot_be_looked_at_again_keeps_no_other_from_it() -> None:
    """Neither a webhook that nobody could read, nor one that could be read only once."""
    renewed = {webhook_id(1): UNREACHABLE, webhook_id(2): numbered(2, "whsec_new")}
    main = FakeConnection([numbered(1), numbered(2)], unlisted=renewed)
    report = Auditing({"main": main, "broken": FakeConnection(refused=KEY_REFUSED)}).run(
        a_subject("unread", "broken", 7, stores=[MemoryStore("vault")]),
        a_subject("unlucky", stores=[MemoryStore("vault")]),
        a_subject("renewed", number=2, stores=[holding("new")]),
    )
    assert kinds(report)[1:] == [("unread, store vault", "store_absent"), ("unlucky, store vault", "store_absent")]
    assert main.reads == [webhook_id(1), webhook_id(2)]


def test_our_mark_tells_whose_value_it_is() -> None:
    """No earlier run knows the value; the mark names the webhook."""
    marks = [StoreMark(webhook_id(number), fingerprint("unheard of"), "https://airflow.example") for number in (1, 2)]
    stores = [
        MemoryStore(label, value=secret("unheard of"), marked=True, mark=mark)
        for label, mark in zip("ab", marks, strict=True)
    ]
    report = Auditing({"main": FakeConnection([numbered(1)])}).run(a_subject(stores=stores))
    assert [held.holding for held in report.webhooks[0].stores] == ["differs", "foreign"]


def test_where_earlier_runs_cannot_be_asked_the_webhook_is_audited_all_the_same() -> None:
    auditing = Auditing({"main": FakeConnection([numbered(1)])}, problem=MemoryUnknown(webhook_id(1), "x", "is locked"))
    report = auditing.run(a_subject(stores=[MemoryStore("vault")]))
    assert kinds(report) == [("production", "history_unknown"), ("production, store vault", "store_absent")]
    assert "the Variable x" in report.findings[0].detail
    assert MemoryUnknown.advice in report.findings[0].detail


def test_drift_stands_where_it_cannot_be_looked_at_again() -> None:
    connection = FakeConnection([numbered(1)], unlisted={webhook_id(1): UNREACHABLE})
    report = Auditing({"main": connection}).run(a_subject(stores=[MemoryStore("vault")]))
    assert kinds(report) == [("production, store vault", "store_absent")]


def test_values_of_earlier_runs_are_ours() -> None:
    """As a report's fingerprints tell, and those that were reported leaked: preflight judges by the same."""
    mine = {"webhook_id": webhook_id(1), "at": START.isoformat()}
    stores = [holding("reported", "a"), holding("leaked", "b"), holding("another webhook's", "c")]
    auditing = Auditing(
        {"main": FakeConnection([numbered(1)])},
        {
            "production": [
                {**mine, "before": fingerprint("reported"), "after": fingerprint("0")},
                {**mine, "webhook_id": webhook_id(9), "before": fingerprint("another webhook's")},
            ]
        },
        {"production": [{**mine, "before": fingerprint("leaked"), "mode": "emergency"}]},
    )
    report = auditing.run(a_subject(stores=stores))
    assert [held.holding for held in report.webhooks[0].stores] == ["differs", "differs", "foreign"]
    assert [(one.kind, one.heals) for one in report.findings] == [
        ("store_differs", True),
        ("store_differs", True),
        ("leaked_secret_held", True),
        ("store_foreign", False),
    ]


def test_what_an_emergency_says_has_leaked_is_found_in_a_store() -> None:
    plan = {"webhook_id": webhook_id(1), "before": fingerprint("leaked"), "mode": "emergency"}
    store = MemoryStore("vault", value=secret("0"), previous=SigningSecret("whsec_leaked\n"), keeps_previous=True)
    auditing = Auditing({"main": FakeConnection([numbered(1)])}, plans={"production": [plan]})
    (finding,) = auditing.run(a_subject(stores=[store])).findings
    assert (finding.kind, finding.heals) == ("leaked_secret_held", True)


def test_an_ignored_kind_is_shown_and_marked() -> None:
    report = Auditing({"main": FakeConnection([numbered(1), numbered(2)])}).run(
        a_subject(stores=[MemoryStore("vault")]), ignore=["webhook_unconfigured"]
    )
    assert [(one.kind, one.ignored) for one in report.findings] == [
        ("store_absent", False),
        ("webhook_unconfigured", True),
    ]
    assert [one.kind for one in report.open] == ["store_absent"]


def test_an_audit_ends_in_time_and_says_what_it_left_out() -> None:
    """Each look at the clock takes a minute here; webhooks themselves are judged all the same."""
    minutes = iter(range(7, 100))
    auditing = Auditing(
        {"main": FakeConnection([numbered(1, status="suspended"), numbered(2)])},
        monotonic=lambda: 60.0 * next(minutes),
    )
    many = [MemoryStore(f"store_{number}", value=secret("0")) for number in range(30)]
    report = auditing.run(a_subject("big", number=2, stores=many), a_subject(stores=[holding()]), time_limit=120)
    assert kinds(report) == [("production", "webhook_inactive"), ("production", "not_audited")]
    assert report.seconds == 180
    assert auditing.said[-1] == "production: not audited"


def test_what_was_found_before_the_time_was_up_is_told() -> None:
    problem = MemoryUnknown(webhook_id(1), "the_variable", "could not be read")
    auditing = Auditing({"main": FakeConnection([numbered(1)])}, problem=problem)
    report = auditing.run(a_subject(stores=[holding()]), time_limit=0)
    assert kinds(report) == [("production", "history_unknown"), ("production", "not_audited")]


def test_an_audit_has_a_clock_of_its_own() -> None:
    nobody: Any = None
    assert 0 <= run_audit([], AuditPorts(nobody, nobody, nobody, nobody), time_limit=1).seconds < 60


def test_an_audit_of_nothing_finds_nothing() -> None:
    report = Auditing({}).run()
    assert (report.findings, report.webhooks, report.connections) == ((), (), {})
