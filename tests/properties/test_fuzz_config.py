"""Rotation files close to right ones: a configuration or a ConfigError, soon, and never with a credential in it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.config import ConfigError, RotationConfig, load_rotation_config
from tests.properties.any_json import anything, spoilt
from tests.properties.profile import tries

CREDENTIALS = ("sk_live_51e6fuzz", "whsec_51e6fuzz", "https://user:pw51e6fuzz@host/x", "Bearer sk_51e6fuzz")
TELLING = "51e6fuzz"
MOST_SECONDS = 20.0
"""Of this process's own time; a bomb takes minutes."""

RIGHT: dict[str, Any] = {
    "defaults": {
        "schedule": "0 6 1 * *",
        "timezone": "Europe/Tallinn",
        "max_age": "P90D",
        "probe": {"timeout": "PT5M"},
    },
    "webhooks": [
        {
            "name": "production",
            "webhook_id": "507f1f77bcf86cd799439011",
            "stores": [
                {"type": "airflow_variable", "name": "featurebase_webhook_signing_secret"},
                {"type": "object_storage", "path": "/etc/app/webhook.env", "format": "dotenv", "key": "SECRET"},
                {"type": "hashicorp_vault", "conn_id": "vault", "mount": "secret", "path": "apps/x", "key": "SECRET"},
                {"type": "redis", "conn_id": "cache", "key": "webhook"},
                {
                    "type": "http",
                    "conn_id": "config_service",
                    "url": "/v1/secret",
                    "body": '{"value": {{ secret | tojson }}}',
                    "adopt": True,
                },
            ],
            "probe": {"timeout": "PT10M", "successes": 3},
            "verify": {"timeout": "PT15M"},
        },
        {"name": "staging", "webhook_name": "Staging", "stores": [{"type": "aws_ssm", "name": "/app/webhook"}]},
    ],
}
TEXT = yaml.safe_dump(RIGHT, sort_keys=False)

credentials = st.sampled_from(CREDENTIALS)
values = credentials | anything | st.dictionaries(credentials | st.text(max_size=5), credentials, max_size=2)
pieces = st.sampled_from(
    [
        "&a ",
        "*a",
        "<<: *a\n",
        "? ",
        "- ",
        ": ",
        "!!python/object/apply:os.system ['x']",
        "!!binary ",
        "| \n",
        ">-\n",
        "%YAML 9\n",
    ]
    + [
        "---\n",
        "...\n",
        "\ufeff",
        "\x00",
        "\x85",
        "\u2028",
        "\ud800",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "#",
        "\t",
        "\n",
        "  ",
    ]
    + [
        "0x1f",
        "1_000",
        "9" * 400,
        ".inf",
        ".nan",
        "1e400",
        "2026-01-01",
        "yes",
        "~",
        "[" * 60,
        "a: " * 60,
        *CREDENTIALS,
    ]
)


@st.composite
def spoilt_texts(draw: st.DrawFn) -> str:
    """The right file with pieces put in, and spans taken out or repeated."""
    text = TEXT
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        until = min(len(text), at + draw(st.integers(0, 30)))
        text = text[:at] + draw(pieces | st.just(text[at:until] * 2) | st.just("")) + text[until:]
    return text


@st.composite
def bombs(draw: st.DrawFn) -> str:
    """Aliases of aliases, as values or merged."""
    width, depth = draw(st.integers(2, 12)), draw(st.integers(2, 60))
    form = draw(st.sampled_from(["a{0}: &a{0} [{1}]\n", "a{0}: &a{0} {{<<: [{1}]}}\n", "a{0}: &a{0} {{k: [{1}]}}\n"]))
    lines = [form.format(0, ", ".join(["{x: 1}"] * width))]
    lines += [form.format(level, ", ".join([f"*a{level - 1}"] * width)) for level in range(1, depth)]
    return "".join(lines) + f"webhooks: *a{depth - 1}\n"


def loaded(raw: bytes) -> RotationConfig | ConfigError:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rotation.yaml"
        file.write_bytes(raw)
        started = time.process_time()
        outcome: RotationConfig | ConfigError
        try:
            outcome = load_rotation_config(file)
        except ConfigError as error:
            outcome = error
        assert time.process_time() - started < MOST_SECONDS
    if isinstance(outcome, ConfigError):
        shown = f"{outcome}{outcome!r}{outcome.__cause__!r}{outcome.__context__!r}"
        assert TELLING not in shown
        assert outcome.faults
        assert all(line.isprintable() for line in str(outcome).splitlines())
    else:
        assert outcome.webhooks
    return outcome


def test_the_right_file_is_right() -> None:
    """Or the properties below would be about files that are wrong anyway."""
    assert isinstance(loaded(TEXT.encode()), RotationConfig)


@tries(400)
@given(spoilt(RIGHT, values))
def test_a_file_with_something_wrong_in_it(document: Any) -> None:
    loaded(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@tries(400)
@given(spoilt_texts())
def test_a_file_with_something_put_in(text: str) -> None:
    loaded(text.encode("utf-8", "surrogatepass"))


@tries(60)
@given(bombs())
def test_aliases_of_aliases_are_refused_soon(text: str) -> None:
    assert isinstance(loaded(text.encode()), ConfigError)
