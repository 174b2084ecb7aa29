"""The form of `notify`, and that no credential gets into it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from featurebase_provider.config import NotifyConfig
from featurebase_provider.config.errors import ADVICE

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"


def test_a_webhooks_list_replaces_the_default(load, one_webhook):
    text = one_webhook("notify: [{events: [failure], notifier: a.B}]")
    defaults = f"defaults: {{notify: [{{events: [due], notifier: {SMTP}, before: P14D}}]}}\n"
    (own,) = load(defaults + text).webhooks[0].notify
    assert (own.events, own.notifier, own.timeout) == (("failure",), "a.B", timedelta(seconds=30))
    (default,) = load(defaults + one_webhook()).webhooks[0].notify
    assert (default.notifier, default.before) == (SMTP, timedelta(days=14))
    assert load(one_webhook()).webhooks[0].notify == ()


@pytest.mark.parametrize(
    ("entry", "field", "says"),
    [
        ("{notifier: a.B}", "events", "required"),
        ("{events: [], notifier: a.B}", "events", "at least one"),
        ("{events: [failed], notifier: a.B}", "events[0]", "failure"),
        ("{events: [failure]}", "notifier", "required"),
        ("{events: [failure], notifier: SmtpNotifier}", "notifier", "dotted path"),
        ("{events: [failure], notifier: 'a.b:C'}", "notifier", "dotted path"),
        ("{events: [failure], notifier: a.B, timeout: PT1H}", "timeout", "PT5M"),
        ("{events: [failure], notifier: a.B, before: P1D}", "before", "without the event due"),
        ("{events: [failure], notifier: a.B, argument: {}}", "argument", "did you mean arguments"),
    ],
)
def test_a_wrong_form_is_named_with_its_field(faults, one_webhook, entry, field, says):
    ((line, where, message),) = faults(one_webhook(f"notify: [{entry}]"))
    assert (line, where) == (5, f"webhooks[0].notify[0].{field}")
    assert says in message


@pytest.mark.parametrize(
    "arguments",
    [
        {"password": "x"},
        {"headers": {"Authorization": "x"}},
        {"blocks": [{"webhook_token": "x"}]},
        {"text": "sk_live_4f9a8b7c6d"},
        {"url": "https://user:4f9a8b7c6d@example.com"},
        {"url": "https://hooks.slack.com/services/T0/B0/4f9a8b7c6d"},
        {"blocks": ["https://discord.com/api/webhooks/1/4f9a8b7c6d"]},
    ],
)
def test_credentials_in_arguments_are_refused_and_not_echoed(arguments):
    """However deep they stand."""
    with pytest.raises(ValidationError) as caught:
        NotifyConfig(events=("failure",), notifier=SMTP, arguments=arguments)
    assert ADVICE in str(caught.value)
    assert "4f9a8b7c6d" not in str(caught.value)


def test_connections_and_templates_are_no_credentials():
    arguments = {"smtp_conn_id": "smtp_default", "text": "{{ notice.text }}", "cc": None, "timeout": 5}
    assert NotifyConfig(events=("failure",), notifier=SMTP, arguments=arguments).arguments == arguments
