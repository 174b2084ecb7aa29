"""The shipped JSON Schema, and the examples of the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from featurebase_provider.config.audit import AuditConfig
from featurebase_provider.config.base import OverlapConfig, VerifyConfig
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.config.probe import ProbeConfig
from featurebase_provider.config.schema import SHIPPED, schema_text
from featurebase_provider.stores.registry import BUILT_IN, store_class

DOCS = Path(__file__).parents[3] / "docs" / "configuration.md"
EXAMPLES = re.findall(r"```yaml\n(# yaml-language-server:.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SHIPPED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_shipped_schema_is_that_of_the_models():
    """After a change of a model or of a store's docstring: python -m featurebase_provider.config.schema."""
    assert SHIPPED.read_text() == schema_text()


def test_the_documentation_has_examples():
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_documented_examples_are_right(example, load, validator):
    """Each whole example loads, and validates against the schema."""
    assert load(example).webhooks
    # The reader keeps dates as text, as JSON does.
    validator.validate(yaml.load(example, Loader=yaml.BaseLoader if "true" not in example else yaml.SafeLoader))


@pytest.mark.parametrize(
    "line",
    ["retries: -1", "unknown: 1", "probe: {timout: PT1M}", "name: Ä", "dashboard_url: ftp://x", "webhook_name: also"],
)
def test_schema_and_reader_refuse_alike(line, one_webhook, faults, validator):
    text = one_webhook(line).replace(
        "name: production\n    ", "" if line.startswith("name") else "name: production\n    "
    )
    assert faults(text)
    assert not validator.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("probe", ["true", "false", "null", "{}", "{timeout: PT1M}"])
def test_schema_knows_the_switches_of_the_probe(probe, one_webhook, load, validator):
    text = one_webhook(f"probe: {probe}")
    assert load(text)
    validator.validate(yaml.safe_load(text))


def test_every_field_is_described_in_schema_and_documentation():
    definitions = json.loads(SHIPPED.read_text())["$defs"]
    documented = DOCS.read_text()
    models = [
        WebhookConfig,
        AuditConfig,
        OverlapConfig,
        ProbeConfig,
        VerifyConfig,
        *(store_class(name) for name in BUILT_IN),
    ]
    for model in models:
        for field in model.model_fields:
            assert definitions[model.__name__]["properties"][field].get("description"), (model, field)
            assert f"| `{field}`" in documented, (model, field)


def test_a_plug_in_store_is_left_to_its_plug_in(one_webhook, validator):
    text = one_webhook().replace("{type: airflow_variable, name: signing}", "{type: our_own, anything: 1}")
    validator.validate(yaml.safe_load(text))
    assert not validator.is_valid(yaml.safe_load(text.replace("our_own", "airflow_variable")))
