"""The section ``audit:`` of the rotation file."""

from __future__ import annotations

import json
from datetime import date

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from featurebase_provider.audit.kinds import KINDS
from featurebase_provider.config import AuditConfig
from featurebase_provider.config.schema import SHIPPED


@pytest.fixture(scope="module")
def schema():
    return jsonschema.Draft202012Validator(json.loads(SHIPPED.read_text()))


@pytest.mark.parametrize("section", ["", "audit:\n", "audit: null\n", "audit: {}\n"])
def test_without_it_the_audit_runs_daily_and_only_looks(section, load, one_webhook, schema):
    audit = load(section + one_webhook()).audit
    assert audit == AuditConfig()
    assert (audit.schedule, audit.timezone, audit.heal, audit.ignore) == ("@daily", "UTC", False, ())
    schema.validate(yaml.safe_load(section + one_webhook()))


def test_all_of_it_is_read(load, one_webhook, schema):
    text = """\
audit:
  schedule: "0 7 * * *"
  timezone: Europe/Tallinn
  start_date: "2026-03-01"
  heal: true
  ignore: [webhook_unconfigured, age_unknown]
  owner: feedback
  tags: [gdpr]
"""
    audit = load(text + one_webhook()).audit
    assert audit == AuditConfig(
        schedule="0 7 * * *",
        timezone="Europe/Tallinn",
        start_date=date(2026, 3, 1),
        heal=True,
        ignore=("webhook_unconfigured", "age_unknown"),
        owner="feedback",
        tags=("gdpr",),
    )
    schema.validate(yaml.safe_load(text + one_webhook()))


def test_defaults_of_webhooks_are_not_the_audits(load, one_webhook):
    text = 'defaults: {schedule: "0 6 1 * *", timezone: Europe/Tallinn, owner: others}\n' + one_webhook()
    assert load(text).audit == AuditConfig()


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ("ignore: [store_difers]", "audit.ignore[0]", "did you mean store_differs? (allowed: connection_unusable, "),
        ("ignore: [age_unknown, 7]", "audit.ignore[1]", "must be text"),
        ("ignore: [sk_live_0123456789]", "audit.ignore[0]", "looks like a credential"),
        ("heal: yes", "audit.heal", "must be true or false"),
        ("schedule: hourly", "audit.schedule", "is not a schedule"),
        ("timezone: Tallinn", "audit.timezone", "did you mean Europe/Tallinn"),
        ("haul: true", "audit.haul", "did you mean heal?"),
        ("webhooks: []", "audit.webhooks", "is not a known field"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(line, field, words, faults, one_webhook, schema):
    text = f"audit:\n  {line}\n{one_webhook()}"
    ((number, name, message),) = faults(text)
    assert (number, name) == (2, field)
    assert words in message
    assert "sk_live" not in message
    if field not in ("audit.schedule", "audit.timezone", "audit.heal"):  # the reader alone knows what these mean
        assert not schema.is_valid(yaml.safe_load(text))


def test_an_unlike_kind_is_refused_without_a_guess(faults, one_webhook):
    ((_, _, message),) = faults(f"audit: {{ignore: [x]}}\n{one_webhook()}")
    assert "did you mean" not in message
    assert KINDS[-1] in message


@pytest.mark.parametrize("value", ["true", "[heal]", "daily"])
def test_it_must_be_a_mapping(value, faults, one_webhook):
    assert faults(f"audit: {value}\n{one_webhook()}") == [(1, "audit", "must be a mapping (key: value)")]


def test_its_faults_come_together_with_the_webhooks(faults, one_webhook):
    found = faults("audit: {heal: 1}\n" + one_webhook("retries: -1"))
    assert [field for _, field, _ in found] == ["audit.heal", "webhooks[0].retries"]


def test_the_model_checks_the_same_in_python():
    with pytest.raises(ValidationError, match="not a kind of finding"):
        AuditConfig(ignore=("store_difers",))
