"""What is nothing but a secret, and what is more: the rest would be lost."""

from __future__ import annotations

import pytest

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.format_names import format_of_name
from featurebase_provider.stores.shared.formats import Contents, RawFormat
from featurebase_provider.stores.shared.formats.more_than_secret import more_than_secret


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", " \t\r\n", "whsec_abc", "whsec_abc\n", "\ufeffwhsec_abc\r\n", "  whsec_abc  ",
        "whsec_abc=", "whsec_abc==", "whsec_a=b", "WHSEC_abc=", "whsec_q83v+/EjRWeJA=",
        "q83vEjRWeJA=", "MDEyMzQ1Njc4OWFiY2RlZg==", "3q2-7w_9Ab0=", "a-token", "123", "null", "true",
        "user:password@host", "https://user:pw@host/path", "arn:aws:iam::1:role/x", "sk_live_0123456789",
        "to be set", "{{ secret }}", "${SECRET}", "[redacted]", "{", '"', "=", "==", "a:b",
    ],
)  # fmt: skip
def test_one_value(text: str) -> None:
    assert more_than_secret(text) is None


@pytest.mark.parametrize(
    ("text", "what", "advice"),
    [
        ("KEY=whsec_abc\n", "variables", "dotenv"),
        ("KEY=", "variables", "dotenv"),
        ("API_KEY=", "variables", "dotenv"),
        ("webhook=", "variables", "dotenv"),
        ("export KEY='whsec_abc'", "variables", "dotenv"),
        ("  KEY = whsec_abc", "variables", "dotenv"),
        ("# of the app\n\nKEY=whsec_abc\n", "variables", "dotenv"),
        ("KEY=a\r\nOTHER=b", "variables", "dotenv"),
        ("whsec_abc\nKEY=a", "variables", "dotenv"),
        ("Endpoint=sb://host/;SharedAccessKey=YQ==", "variables", "dotenv"),
        ("feedback.webhook.secret=whsec_abc", "properties", "properties"),
        ("feedback:\n  secret: whsec_abc\n", "YAML", "yaml"),
        ("secret: whsec_abc", "YAML", "yaml"),
        ("---\nsecret: whsec_abc", "YAML", "yaml"),
        ("- secret: whsec_abc", "YAML", "yaml"),
        ('{"secret": "whsec_abc"}', "a JSON object", "json"),
        ("{}", "a JSON object", "json"),
        ('\ufeff {\n "a": 1\n}\n', "a JSON object", "json"),
        ('["whsec_abc"]', "a JSON array", "the place of the secret alone"),
        ('"whsec_abc"', "a JSON text in quotes", "without the quotes"),
        ("whsec_abc\nwhsec_def", "several lines", "the place of the secret alone"),
        ("whsec_abc\rwhsec_def", "several lines", "the place of the secret alone"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "several lines", "the place of the secret"),
        ("{\n a: 1 // no JSON\n}", "an object in braces", "yaml"),
        ('{"secret":"whsec_abc","a":1,}', "an object in braces", "format: json"),
        ("{secret: whsec_abc, a: 1}", "an object in braces", "yaml"),
        ('{"secret":"whsec_abc"', "an object in braces", "format: json"),
        ("WHSEC_PRODUCTION=abc", "variables", "dotenv"),
        ("whsec_production='whsec_abc'", "variables", "dotenv"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("line_break", [True, False])
def test_more_than_one(text: str, what: str, advice: str, line_break: bool) -> None:
    raw = RawFormat("a store", line_break=line_break)
    for call in (lambda: raw.read(text), lambda: raw.edit(text, Contents("new"))):
        with pytest.raises(StoreRefused) as caught:
            call()
        said = str(caught.value)
        assert f"it holds {what}" in said
        assert advice in said
        assert "nothing was changed" in said
        assert "abc" not in said


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/etc/app/.env", "dotenv"), ("/etc/app/.envrc", "dotenv"), ("/etc/app/.env.production", "dotenv"),
        ("/etc/app/app.env", "dotenv"), ("/etc/app/app.env.production", "dotenv"), ("/etc/app/APP.ENV", "dotenv"),
        ("/etc/app/.env-prod", "dotenv"), ("/etc/app/.Env_local", "dotenv"), ("s3://bucket/prod.env.local", "dotenv"),
        ("/etc/app/c.JSON", "json"), ("/etc/app/c.json", "json"), ("/etc/app/.env.json", "json"),
        ("/etc/app/application-prod.yml", "yaml"), ("/etc/app/values.YAML", "yaml"),
        ("/etc/app/application.properties", "properties"), ("s3://bucket/A.Properties", "properties"),
        ("/etc/app/yaml", "raw"), ("/etc/app/a.yml.j2", "raw"), ("/etc/app/properties", "raw"),
        ("/etc/app/secret", "raw"), ("/etc/app/environment", "raw"), ("/etc/app.env/secret", "raw"),
        ("/etc/app/secret.txt", "raw"), ("/etc/app/json", "raw"), ("/etc/app/venv", "raw"),
    ],
)  # fmt: skip
def test_a_name_tells_the_format_as_people_write_it(path: str, name: str) -> None:
    assert format_of_name(path) == name
