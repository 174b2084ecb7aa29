"""What the provider tells Airflow about itself, held against Airflow's schema and against the code."""

from __future__ import annotations

import importlib
import json
import pkgutil
from importlib.metadata import distribution
from pathlib import Path

import jsonschema
import pytest

import airflow
import featurebase_provider
from featurebase_provider.get_provider_info import get_provider_info

INFO = get_provider_info()
LISTED = {
    kind: {module for entry in INFO[kind] for module in entry["python-modules"]}
    for kind in ("hooks", "operators", "sensors", "triggers")
}
CONNECTION = INFO["connection-types"][0]


def load(path: str) -> object:
    """Import what a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_info_follows_airflows_schema() -> None:
    """Airflow drops a provider whose info breaks its schema."""
    schema = json.loads(Path(airflow.__file__).with_name("provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_entry_point_leads_to_the_info() -> None:
    """Airflow finds the info through the distribution's entry point, under the distribution's own name."""
    found = [
        entry
        for entry in distribution("airflow-provider-featurebase").entry_points
        if entry.group == "apache_airflow_provider"
    ]
    assert [entry.load()() for entry in found] == [INFO]
    assert INFO["package-name"] == "airflow-provider-featurebase"


@pytest.mark.parametrize("module", sorted(set().union(*LISTED.values())))
def test_listed_module_can_be_imported(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("path", [*INFO["extra-links"], CONNECTION["hook-class-name"]])
def test_listed_class_exists(path: str) -> None:
    assert isinstance(load(path), type)


@pytest.mark.parametrize("path", INFO["cli"])
def test_listed_commands_can_be_made(path: str) -> None:
    """And each of them finds the function that it calls."""
    for group in load(path)():  # type: ignore[operator]
        for command in group.subcommands:
            assert callable(load(f"featurebase_provider.cli.{command.name.replace('-', '_')}.run"))


@pytest.mark.parametrize("kind", sorted(LISTED))
def test_every_class_users_name_is_listed(kind: str) -> None:
    """A module that defines an operator, sensor, trigger or hook is among the listed ones; bases are not."""
    base = {
        "hooks": "airflow.sdk.BaseHook",
        "operators": "airflow.sdk.BaseOperator",
        "sensors": "airflow.sdk.BaseSensorOperator",
        "triggers": "airflow.triggers.base.BaseTrigger",
    }[kind]
    base_class = load(base)
    assert isinstance(base_class, type)
    defining = set()
    folder = Path(featurebase_provider.__file__).parent / kind
    for found in pkgutil.iter_modules([str(folder)], f"featurebase_provider.{kind}."):
        module = importlib.import_module(found.name)
        if not found.name.endswith((".base", ".pair_task")) and any(
            isinstance(item, type) and issubclass(item, base_class) and item.__module__ == found.name
            for item in vars(module).values()
        ):
            defining.add(found.name)
    assert defining == LISTED[kind]


def test_hook_knows_its_connection_type() -> None:
    """The class that makes the connection form is the one that reads the connection."""
    hook = load(CONNECTION["hook-class-name"])
    assert (hook.conn_type, hook.hook_name) == (CONNECTION["connection-type"], CONNECTION["hook-name"])


def test_hook_form_of_3_1_equals_the_metadata_of_3_2() -> None:
    """Airflow 3.1 asks the hook class, later ones read the metadata: both give the same form."""
    behaviour = load(CONNECTION["hook-class-name"]).get_ui_field_behaviour()
    metadata = CONNECTION["ui-field-behaviour"]
    assert behaviour["relabeling"] == metadata["relabeling"]
    assert sorted(behaviour["hidden_fields"]) == sorted(metadata["hidden-fields"])
    assert behaviour["placeholders"] == metadata["placeholders"]


def test_form_defaults_make_a_usable_client() -> None:
    """The values that the form starts with are accepted by the client, and equal its own defaults."""
    from featurebase_provider.featurebase.settings import ApiSettings

    defaults = {name: field["schema"]["default"] for name, field in CONNECTION["conn-fields"].items()}
    own = ApiSettings(api_key="sk_sandbox")
    assert ApiSettings(api_key="sk_sandbox", **defaults) == own
    assert own.base_url == CONNECTION["ui-field-behaviour"]["placeholders"]["host"]
