from __future__ import annotations

import subprocess
import sys

import pytest

from featurebase_provider import featurebase


@pytest.mark.parametrize("name", featurebase.__all__)
def test_public_name_can_be_imported(name: str) -> None:
    assert getattr(featurebase, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        featurebase.nonsense  # noqa: B018


def test_errors_and_secrets_load_no_http_client() -> None:
    """A Dag file that only needs the error family or the secret type pays for no more."""
    names = "from featurebase_provider.featurebase import ApiError, SigningSecret"
    code = f"import sys; {names}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="provider")
    assert not {"httpx", "tenacity", "airflow"} & set(loaded.stdout.split())
