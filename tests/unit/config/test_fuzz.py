"""Whatever the file holds, the answer is a configuration or a ConfigError."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featurebase_provider.config import ConfigError, RotationConfig, load_rotation_config
from featurebase_provider.config.base import VerifyConfig
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.config.probe import ProbeConfig

FIELDS = sorted({*WebhookConfig.model_fields, *ProbeConfig.model_fields, *VerifyConfig.model_fields, "type", "path"})
TELLING = [
    "P1D", "PT0S", "P99999999999D", "PT1E9S", "2026-01-01", "0 6 1 * *", "@daily", "UTC", "a" * 24, "0" * 24,
    "airflow_variable", "object_storage", "/etc/x.env", "s3://bucket/key", "file://", "whsec_x", "sk_x", "raw",
    "json", "{message}", "%s", "::1", "https://x", "\u202e", "1e400",
]  # fmt: skip
SETTINGS = settings(
    max_examples=80, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(TELLING)
)
keys = st.sampled_from(FIELDS) | st.text(max_size=6) | st.integers(0, 3)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
stores = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["airflow_variable", "object_storage", "x"]) | scalars},
        optional={name: scalars for name in ("name", "path", "format", "key", "label", "timeout", "mode", "conn_id")},
    ),
    max_size=3,
)
webhooks = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"]) | scalars, "stores": stores | anything},
    optional={name: scalars | anything for name in WebhookConfig.model_fields if name not in ("name", "stores")},
)
files = st.fixed_dictionaries(
    {"webhooks": st.lists(webhooks, max_size=2) | anything}, optional={"defaults": anything, "x": anything}
)


def answer(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rotation.yaml"
        file.write_bytes(raw)
        outcome: RotationConfig | ConfigError
        try:
            outcome = load_rotation_config(file)
        except ConfigError as error:
            outcome = error
    if isinstance(outcome, ConfigError):
        assert outcome.faults
        assert str(outcome).encode()
    else:
        assert outcome.webhooks


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes(raw):
    answer(raw)


@SETTINGS
@given(st.text(alphabet=st.sampled_from("ab:-?[]{}&*!|>'\"%@`#,\n\t \\x0~<=1é.\u2028"), max_size=60))
def test_any_text_made_of_yaml_signs(text):
    answer(text.encode())


@SETTINGS
@given(anything | files)
def test_any_yaml(value):
    answer(yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass"))


@SETTINGS
@given(files)
def test_any_file_of_the_right_shape(value):
    answer(yaml.safe_dump(value, default_flow_style=None).encode("utf-8", "surrogatepass"))
