"""Each field: what it accepts, and what it says when it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from featurebase_provider.stores.registry import BUILT_IN

PROBE = "must be true, false or a mapping such as {timeout: PT10M}; yes, on and 1 are not booleans here"


@pytest.mark.parametrize(
    "schedule",
    [
        "'0 6 1 * *'",
        "'*/5 * * * MON-FRI'",
        "'0 6 L * *'",
        "'0 0 29 2 *'",
        "'0 6 * * THU,FRI'",
        "'@daily'",
        "'@quarterly'",
        "null",
    ],
)
def test_schedules_that_airflow_runs_are_accepted(load, one_webhook, schedule):
    written = load(one_webhook(f"schedule: {schedule}")).webhooks[0].schedule
    assert written == (None if schedule == "null" else schedule.strip("'"))


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("0 6 32 * *", "is not a valid cron expression"),
        ("a b c d e", "is not a valid cron expression"),
        ("0 0 31 2 *", "matches no date"),
        ("0 6 1 * * 0", "is not a schedule; allowed: a cron expression of 5 fields"),
        ("daily", "is not a schedule; allowed: a cron expression of 5 fields"),
        ("@once", "allowed: a cron expression, @hourly, @daily, @weekly, @monthly, @quarterly, @yearly, null"),
        ("@reboot", "allowed: a cron expression, @hourly"),
        ("R R * * *", "R and H differ each time"),
        ("H(0-5) 6 * * *", "R and H differ each time"),
    ],
)
def test_other_schedules_are_refused(faults, one_webhook, schedule, words):
    ((line, field, message),) = faults(one_webhook(f"schedule: '{schedule}'"))
    assert (line, field) == (5, "webhooks[0].schedule")
    assert words in message
    assert f'"{schedule}"' in message


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Europe/Talinn", "did you mean Europe/Tallinn"),
        ("tallinn", "did you mean Europe/Tallinn"),
        ("Europe", "is not an IANA time zone"),
        ("+03:00", "is not an IANA time zone"),
        ("../../etc/passwd", "is not an IANA time zone"),
        ("", "is not an IANA time zone"),
        ("x" * 300, "the value is not an IANA time zone"),
    ],
)
def test_an_unknown_time_zone_suggests_known_ones(faults, one_webhook, zone, words):
    ((_, field, message),) = faults(one_webhook(f"timezone: '{zone}'"))
    assert field == "webhooks[0].timezone"
    assert words in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("start_date: 2026-13-01", "must be a date from 2000-01-01 to 2099-12-31, written YYYY-MM-DD"),
        ("start_date: 20260101", "must be a date from 2000-01-01 to 2099-12-31, written YYYY-MM-DD"),
        ("start_date: 1999-01-01", "must be a date from 2000-01-01 to 2099-12-31, written YYYY-MM-DD"),
        ("start_date: 2026-01-01T00:00:00Z", "must be a date from 2000-01-01 to 2099-12-31, written YYYY-MM-DD"),
        ("max_age: PT0.5S", "must be from PT1S to P3650D"),
        ("max_age: P1Y", "years and months have no fixed length; write days (P90D) or weeks (P2W)"),
        ("verify: {timeout: P8D}", "must be from PT0.1S to P7D"),
        ("verify: {poll_interval: PT30M}", "must not be longer than timeout"),
        ("probe: {timeout: PT0S}", "must be from PT0.1S to P1D"),
        ("probe: {successes: 0}", "must be at least 1 and at most 1000"),
        ("probe: {successes: 2.5}", "must be a whole number"),
        ("probe: {successes: '3'}", "must be a whole number"),
        ("probe: {successes: true}", "must be a whole number"),
        ("probe: {reject_check: no}", "must be true or false, without quotes"),
        ("probe: {body: [1]}", "must be a mapping (key: value)"),
        ("probe: on", PROBE),
        ("probe: yes", PROBE),
        ("probe: 1", PROBE),
        ("probe: []", PROBE),
        ("probe: {allow_hosts: receiver}", "must be a list; for example [receiver.internal]"),
        ("verify: true", "must be a mapping (key: value)"),
        ("verify: null", "must be a mapping (key: value), but it is empty"),
        ("timezone: null", "must be text, but it is empty; for example Europe/Tallinn"),
        ("owner: ''", "must have at least 1 and at most 100 characters"),
        ("owner: 2026", "must be text; put it in quotes"),
        ("tags: prod", "must be a list; for example [production]"),
        ("featurebase_conn_id: a b", ("the value is not allowed; it must be 1 to 200 letters, digits or any of "
         "_ # ! ( ) - . : / \\")),
        ("allow_inactive: 1", "must be true or false, without quotes"),
        ("dashboard_url: http://acme.featurebase.app", "must be an https:// address without user name or password"),
        ("dashboard_url: https://me@acme.featurebase.app",
         "must be an https:// address without user name or password"),
        ("dashboard_url: 'https://[x'", "must be an https:// address without user name or password"),
        ("reactivate: true",
         "requires the probe, which shows that the receiver accepts the new secret; add probe: true"),
        ("retry_delay: PT10M", "must not be longer than max_retry_delay"),
        ("push_retry_delay: PT10M", "must not be longer than max_retry_delay"),
        ("execution_timeout: PT30S", ("must be shorter than execution_timeout, or the task is stopped while it "
         "waits for the refresh; it is PT1M by default")),
        ("probe: {timout: PT1M}", ("is not a known field; did you mean timeout? (allowed: allow_hosts, body, interval, "
         "reject_check, steady, successes, timeout)")),
    ],
)  # fmt: skip
def test_a_wrong_value_says_what_is_allowed(faults, one_webhook, line, message):
    ((at, field, said),) = faults(one_webhook(line))
    assert (at, said) == (5, message)
    assert field.startswith("webhooks[0].")


@pytest.mark.parametrize("name", ["Production", "a b", "ü", "", "x" * 101, "a/b", "a.b", "a\\n"])
def test_a_name_that_makes_no_dag_id_is_refused(faults, one_webhook, name):
    ((_, field, message),) = faults(one_webhook().replace("name: production", f'name: "{name}"'))
    assert field == "webhooks[0].name"
    assert "must be 1 to 100 of the characters a-z, 0-9, _ and -" in message


@pytest.mark.parametrize("webhook_id", ["507f1f77", "507f1f77bcf86cd79943901g", "'507f1f77bcf86cd799439011 '"])
def test_a_malformed_id_is_refused(faults, one_webhook, webhook_id):
    ((_, field, message),) = faults(one_webhook().replace("507f1f77bcf86cd799439011", webhook_id))
    assert field == "webhooks[0].webhook_id"
    assert "must be 24 hex digits" in message


@pytest.mark.parametrize("webhook_id", ["507011774786862799439011", "507e12345678901234567890"])
def test_an_id_that_looks_like_a_number_needs_no_quotes(load, one_webhook, webhook_id):
    text = one_webhook().replace("507f1f77bcf86cd799439011", webhook_id)
    assert load(text).webhooks[0].webhook_id == webhook_id


def test_a_webhook_needs_exactly_one_name_of_itself(faults, one_webhook):
    assert [(line, field) for line, field, _ in faults(one_webhook("webhook_name: Same"))] == [
        (5, "webhooks[0].webhook_name")
    ]
    without = one_webhook().replace("    webhook_id: 507f1f77bcf86cd799439011\n", "")
    assert faults(without) == [(2, "webhooks[0].webhook_id", "is required, or webhook_name instead")]


@pytest.mark.parametrize("host", ["receiver.internal", "10.0.0.1", "fd00::1", "[fd00::1]", "Receiver", "a_b.svc."])
def test_allowed_hosts_are_names_or_addresses(load, one_webhook, host):
    probe = load(one_webhook(f"probe: {{allow_hosts: ['{host}']}}")).webhooks[0].probe
    assert probe is not None
    assert probe.allow_hosts == (host.strip("[]").lower(),)


@pytest.mark.parametrize("host", ["https://a", "a:80", "*.internal", "a/b", "-a", "", "a..b", "10.0.0.0/8", "x" * 64])
def test_other_hosts_are_refused(faults, one_webhook, host):
    ((_, field, message),) = faults(one_webhook(f"probe: {{allow_hosts: ['{host}']}}"))
    assert field == "webhooks[0].probe.allow_hosts[0]"
    assert "is not a host name or address" in message


def test_a_short_stay_of_the_previous_secret_is_refused_only_where_one_is_kept(load, faults, one_webhook):
    """Featurebase retries for 7 h 1 min: a receiver may need the previous secret that long."""
    assert load(one_webhook("previous_for: PT1H")).webhooks[0].previous_for == timedelta(hours=1)
    keeping = one_webhook("previous_for: PT7H").replace("name: signing", "name: signing, format: json")
    ((line, field, message),) = faults(keeping)
    assert (line, field) == (5, "webhooks[0].previous_for")
    assert message.startswith("must be at least PT7H1M")
    assert load(keeping.replace("PT7H", "PT7H1M")).webhooks[0].stores[0].keeps_previous


def test_stores_are_counted(faults, one_webhook):
    for stores, message in (
        ("[]", "must have at least 1 and at most 50 entries"),
        ("null", "must be a list, but it is empty"),
        ("airflow_variable", "must be a list"),
    ):
        text = one_webhook().replace("[{type: airflow_variable, name: signing}]", stores)
        assert faults(text) == [(4, "webhooks[0].stores", message)]
    many = ", ".join(f"{{type: airflow_variable, name: v{n}}}" for n in range(51))
    text = one_webhook().replace("{type: airflow_variable, name: signing}", many)
    assert faults(text) == [(4, "webhooks[0].stores", "must have at least 1 and at most 50 entries")]


@pytest.mark.parametrize(
    ("store", "field", "words"),
    [
        ("{}", ".type", f"is required; allowed: {', '.join(sorted(BUILT_IN))}"),
        ("{type: 5}", ".type", "must be text; allowed: airflow_variable"),
        ("{type: airflow_vaiable, name: x}", ".type", '"airflow_vaiable" is no store type; allowed: airflow_variable'),
        ("{type: airflow_variable}", ".name", "is required"),
        ("{type: airflow_variable, nmae: x, name: x}", ".nmae", "is not a known field; did you mean name?"),
        ("{type: object_storage, path: /a/b, format: xml}", ".format", "must be one of 'raw', 'json', 'dotenv', "),
        ("{type: object_storage, path: /a/b, timeout: 0}", ".timeout", "must be more than 0"),
        ("{type: object_storage, path: /a/b, label: 'A b'}", ".label", "must match ^[a-z0-9_]{1,40}$"),
        ("{type: object_storage, path: a/b}", ".path", "write an absolute path"),
        ("null", "", "must be a mapping with a type"),
        ("[airflow_variable]", "", "must be a mapping with a type"),
    ],
)  # fmt: skip
def test_a_wrong_store_names_its_own_field(faults, one_webhook, store, field, words):
    ((line, where, message),) = faults(one_webhook().replace("{type: airflow_variable, name: signing}", store))
    assert (line, where) == (4, f"webhooks[0].stores[0]{field}")
    assert words in message
