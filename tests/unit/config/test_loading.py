"""The rotation file: read, merged, checked, and refused with every fault at once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from featurebase_provider.config import ConfigError, load_rotation_config

DESIGN_EXAMPLE = """\
defaults:
  featurebase_conn_id: featurebase_default
  schedule: "0 6 1 * *"
  timezone: Europe/Tallinn
  max_age: P90D
webhooks:
  - name: production                       # names the Dag: [a-z0-9_-]
    webhook_id: 507F1f77bcf86cd799439011
    stores:
      - {type: airflow_variable, name: featurebase_webhook_signing_secret}
      - {type: object_storage, path: /etc/app/webhook.env}
      - {type: object_storage, path: /etc/app/webhook.json, timeout: PT3S}
    probe: {timeout: PT5M}
    verify: {timeout: PT20M}
  - name: staging
    webhook_name: Staging, "quoted" - ü
    schedule: null
    stores: [{type: airflow_variable, name: staging}]
"""


def test_reads_every_webhook_with_the_defaults_under_it(load):
    """What a webhook says wins, then the defaults, then the built-in default."""
    config = load(DESIGN_EXAMPLE)
    production, staging = config.webhooks
    assert production.dag_id == "featurebase_rotate__production"
    assert production.webhook_id == "507f1f77bcf86cd799439011"
    assert (production.schedule, staging.schedule) == ("0 6 1 * *", None)
    assert staging.timezone == "Europe/Tallinn"
    assert production.start_date == date(2026, 1, 1)
    assert production.probe is not None
    assert (production.probe.timeout, production.probe.successes) == (timedelta(minutes=5), 3)
    assert production.verify.timeout == timedelta(minutes=20)
    assert staging.webhook_name == 'Staging, "quoted" - ü'
    assert (staging.probe, staging.webhook_id) == (None, None)


def test_stores_of_one_type_get_numbered_labels(load):
    """Stores without a label are told apart by a number from the second of a type on."""
    stores = load(DESIGN_EXAMPLE).webhooks[0].stores
    assert [store.label for store in stores] == ["airflow_variable", "object_storage", "object_storage_2"]
    assert [store.timeout for store in stores] == [10.0, 10.0, 3.0]


def test_a_number_never_takes_an_explicit_label(load, one_webhook):
    """An explicit label stays where it is, wherever it stands in the list."""
    text = one_webhook().replace(
        "[{type: airflow_variable, name: signing}]",
        "[{type: airflow_variable, name: a}, {type: airflow_variable, name: b}, "
        "{type: airflow_variable, name: c, label: airflow_variable}]",
    )
    labels = [store.label for store in load(text).webhooks[0].stores]
    assert labels == ["airflow_variable_2", "airflow_variable_3", "airflow_variable"]


def test_all_faults_are_reported_at_once_in_the_order_of_the_file(faults):
    """One look at the error is enough to mend the whole file."""
    found = faults(
        """\
defaults:
  timezone: Europe/Talinn
  max_aeg: P90D
  name: all
  probe: {timeout: 10}
webhooks:
  - name: Production
    webhook_id: 507f1f77
    reactivate: true
    max_age: PT1H
    stores:
      - {type: airflow_variabel, name: signing}
      - {type: object_storage, pth: /etc/app/webhook.env}
      - text
    verify:
  - name: staging
    webhook_name: Staging
    webhook_id: 507f1f77bcf86cd799439011
    schedule: 0 6 32 * *
    retries: 101
    probe: {interval: PT1H, timeout: PT10M}
    stores: [{type: airflow_variable, name: staging}]
  - 5
extra: 1
"""
    )
    assert [(line, field) for line, field, _ in found] == [
        (2, "defaults.timezone"),
        (3, "defaults.max_aeg"),
        (4, "defaults.name"),
        (5, "defaults.probe.timeout"),
        (7, "webhooks[0].name"),
        (8, "webhooks[0].webhook_id"),
        (10, "webhooks[0].min_age"),
        (12, "webhooks[0].stores[0].type"),
        (13, "webhooks[0].stores[1].path"),
        (13, "webhooks[0].stores[1].pth"),
        (14, "webhooks[0].stores[2]"),
        (15, "webhooks[0].verify"),
        (17, "webhooks[1].webhook_name"),
        (19, "webhooks[1].schedule"),
        (20, "webhooks[1].retries"),
        (21, "webhooks[1].probe.interval"),
        (23, "webhooks[2]"),
        (24, "extra"),
    ]


def test_a_fault_of_the_defaults_is_reported_once_and_there(faults, one_webhook):
    """Ten webhooks that take over a wrong default are one fault, on the default's line."""
    text = "defaults: {retries: many}\n" + one_webhook("owner: a")
    text += (
        text.partition("webhooks:\n")[2]
        .replace("production", "other")
        .replace("439011", "439012")
        .replace("name: signing", "name: other_signing")
    )
    assert faults(text) == [(1, "defaults.retries", "must be a whole number")]


def test_a_contradiction_between_webhook_and_default_is_the_webhooks_fault(faults, one_webhook):
    """The line that is said is one that the file has; a built-in default is told."""
    text = "defaults: {min_age: P10D}\n" + one_webhook("max_age: P5D")
    assert faults(text) == [(1, "defaults.min_age", "must be shorter than max_age")]
    assert faults(one_webhook("max_age: PT5H")) == [
        (5, "webhooks[0].min_age", "must be shorter than max_age; it is P1D by default")
    ]


@pytest.mark.parametrize(
    ("defaults", "own", "timeout_and_successes"),
    [
        ("{timeout: PT1M, successes: 5}", "{timeout: PT2M}", (120, 5)),
        ("{timeout: PT1M, successes: 5}", "true", (60, 5)),
        ("{timeout: PT1M}", "{}", (60, 3)),
        ("true", "{successes: 5}", (600, 5)),
        ("null", "true", (600, 3)),
        ("{timeout: PT1M}", "null", None),
        ("{timeout: PT1M}", "false", None),
        ("false", "{}", (600, 3)),
    ],
)
def test_the_probe_is_merged_key_by_key_and_switched(load, one_webhook, defaults, own, timeout_and_successes):
    """Null or false switch a default off; true and {} switch it on."""
    probe = load(f"defaults: {{probe: {defaults}}}\n" + one_webhook(f"probe: {own}")).webhooks[0].probe
    seen = None if probe is None else (probe.timeout.total_seconds(), probe.successes)
    assert seen == timeout_and_successes


def test_null_lifts_a_limit(load, one_webhook):
    """An explicit null wins over the default."""
    text = "defaults: {max_age: P10D, schedule: '@daily'}\n"
    text += one_webhook("max_age: null", "min_age: ~", "late_start:", "schedule: null")
    webhook = load(text).webhooks[0]
    assert (webhook.max_age, webhook.min_age, webhook.late_start, webhook.schedule) == (None,) * 4


@pytest.mark.parametrize("defaults", ["defaults:\n", "defaults: {}\n", ""])
def test_empty_defaults_are_none(load, one_webhook, defaults):
    assert load(defaults + one_webhook()).webhooks[0].owner == "platform"


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("", "", "the file is empty"),
        ("# nothing\n", "", "the file is empty"),
        ("- a\n", "", "must be a mapping with webhooks"),
        ("just text", "", "must be a mapping with webhooks"),
        ("{}", "webhooks", "is required"),
        ("webhooks: []", "webhooks", "at least one webhook"),
        ("webhooks:", "webhooks", "at least one webhook"),
        ("webhooks: {name: a}", "webhooks", "at least one webhook"),
        ("defaults: [a]\nwebhooks: []", "defaults", "must be a mapping"),
    ],
)
def test_a_file_without_webhooks_is_told_what_it_needs(faults, text, field, words):
    found = faults(text)
    assert any(field == where and words in message for _, where, message in found), found


def test_the_error_reads_as_an_import_error(load, one_webhook, tmp_path):
    """Each line of the text names file, line, field and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        load(one_webhook("retries: -1", "owner: 12"))
    file = tmp_path / "rotation.yaml"
    assert str(caught.value).splitlines() == [
        "2 errors in the rotation file; no rotation Dag is built until this is fixed:",
        f"{file}:5: webhooks[0].retries: must be at least 0 and at most 100",
        f"{file}:6: webhooks[0].owner: must be text; put it in quotes",
    ]
    assert caught.value.retry_helps is False
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_long_list_of_faults_is_cut_in_the_text_only(load, one_webhook):
    lines = [f"field_{number}: 1" for number in range(60)]
    with pytest.raises(ConfigError) as caught:
        load(one_webhook(*lines))
    assert len(caught.value.faults) == 60
    assert str(caught.value).endswith("\n... and 10 more")


def test_a_missing_file_says_how_to_set_it(tmp_path):
    with pytest.raises(ConfigError, match=r"does not exist.*AIRFLOW__FEATUREBASE__ROTATION_CONFIG"):
        load_rotation_config(tmp_path / "none.yaml")


def test_what_is_no_file_is_refused_without_reading_it(tmp_path):
    """A folder or a pipe, which would block the Dag processor, is told apart from a missing file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(ConfigError, match="is not a regular file"):
            load_rotation_config(path)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_a_path_that_cannot_exist_is_a_fault(path):
    with pytest.raises(ConfigError, match="can't be read"):
        load_rotation_config(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    """Wrong encodings and control characters are named with their line; huge files are not parsed."""
    file = tmp_path / "rotation.yaml"
    for raw, message in (
        (b"webhooks:\n  - name: caf\xe9\n", r"yaml:2: this is not UTF-8"),
        ("webhooks: []".encode("utf-16"), r"yaml:1: this is not UTF-8"),
        (b"webhooks:\n\n  - \x00\n", r"yaml:3: the file contains a control character"),
        (b"#" * (1024 * 1024 + 1), "larger than 1 MiB"),
    ):
        file.write_bytes(raw)
        with pytest.raises(ConfigError, match=message):
            load_rotation_config(str(file))


def test_a_byte_order_mark_is_fine(tmp_path, one_webhook):
    file = tmp_path / "rotation.yaml"
    file.write_text(one_webhook(), encoding="utf-8-sig")
    config = load_rotation_config(file)
    assert (config.path, config.webhooks[0].name) == (str(file), "production")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_an_unreadable_file_names_the_reader(tmp_path, one_webhook):
    """Run as another user, since root may read anything."""
    file = tmp_path / "rotation.yaml"
    file.write_text(one_webhook())
    file.chmod(0)
    script = """
import os, sys
from featurebase_provider.config import ConfigError, load_rotation_config
if os.geteuid() == 0:
    os.chmod(os.path.dirname(sys.argv[1]), 0o755)
    os.setuid(65534)
try:
    load_rotation_config(sys.argv[1])
except ConfigError as error:
    print(error)
"""
    for folder in list(file.parents)[:-1]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith(str(tmp_path.parents[2])):
            folder.chmod(0o755)
    provider = str(Path(load_rotation_config.__code__.co_filename).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": provider},
    )
    assert (
        "can't be read by this process (Permission denied); Airflow's Dag processor and workers must be able to read it"
        in done.stdout
    )


def test_reading_the_models_imports_no_airflow():
    """Dag files are parsed again and again: the configuration brings neither Airflow nor a store client."""
    script = """
import sys
import featurebase_provider.config
print(*{name.partition(".")[0] for name in sys.modules})
"""
    provider = str(Path(load_rotation_config.__code__.co_filename).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": provider},
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"airflow", "fastapi", "boto3", "s3fs", "hvac", "jsonschema", "sqlalchemy"}
