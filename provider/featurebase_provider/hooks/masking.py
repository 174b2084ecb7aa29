"""Have Airflow mask a secret in logs, in every form in which it could turn up there: it masks only what it is given."""

from __future__ import annotations

from featurebase_provider.airflow_compat import async_masker
from featurebase_provider.featurebase.text import SHORTEST_SECRET, forms_of
from featurebase_provider.hooks.redacting import redact_from_logs


def mask(value: str) -> None:
    """Mask a secret in this task's process and its supervisor. Call it on the task's main thread."""
    from airflow.sdk.log import mask_secret

    forms = forms_of(value)
    _redact(value, forms)
    # One call for all forms: each is a round trip to the supervisor, and this runs between refresh and writes.
    mask_secret([*forms])


async def amask(value: str) -> None:
    """Mask a secret from within a trigger's event loop, where this Airflow can."""
    forms = forms_of(value)
    _redact(value, forms)
    masker = async_masker()
    if masker is not None:
        await masker([*forms])


def _redact(value: str, forms: list[str]) -> None:
    if len(value) >= SHORTEST_SECRET:
        redact_from_logs(forms)
