"""Have Airflow mask a secret in logs, in every form in which it could turn up there."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

from featurebase_provider.airflow_compat import async_masker


def forms_of(value: str) -> list[str]:
    """A secret as it is, URL-encoded, base64-encoded and JSON-escaped; Airflow masks only what it is given."""
    raw = value.encode()
    forms = [
        value,
        quote(value, safe=""),
        quote_plus(value),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        json.dumps(value)[1:-1],
    ]
    return list(dict.fromkeys(forms))


def mask(value: str) -> None:
    """Mask a secret in this task's process and its supervisor. Call it on the task's main thread."""
    from airflow.sdk.log import mask_secret

    # One call for all forms: each is a round trip to the supervisor, and this runs between refresh and writes.
    mask_secret([*forms_of(value)])


async def amask(value: str) -> None:
    """Mask a secret from within a trigger's event loop, where this Airflow can."""
    masker = async_masker()
    if masker is not None:
        await masker([*forms_of(value)])
