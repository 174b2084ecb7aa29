"""Which file Airflow's configuration names."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurebase_provider.config import ConfigError, configured_path

VARIABLE = "AIRFLOW__FEATUREBASE__ROTATION_CONFIG"


def test_the_setting_names_the_file(monkeypatch):
    monkeypatch.setenv(VARIABLE, " /etc/airflow/rotation.yaml ")
    assert configured_path() == Path("/etc/airflow/rotation.yaml")


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv(VARIABLE, "~/rotation.yaml")
    assert configured_path() == Path("/home/somebody/rotation.yaml")


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_setting_says_how_to_set_it(monkeypatch, value):
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ConfigError) as caught:
        configured_path()
    text = str(caught.value)
    assert text.startswith("no rotation file is configured; no rotation Dag is built")
    assert "[featurebase] rotation_config: is not set" in text
    assert f"set {VARIABLE}" in text
    assert "for example /opt/airflow/config/featurebase_rotation.yaml" in text


@pytest.mark.parametrize("value", ["rotation.yaml", "~nobody-of-this-name/rotation.yaml"])
def test_a_relative_path_is_refused(monkeypatch, value):
    """Airflow's processes have different working directories."""
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ConfigError, match="must be an absolute path, not"):
        configured_path()
