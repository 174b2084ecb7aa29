from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreRefused, StoreUnusable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.object_storage import ObjectStorageStore
from tests.contract.memory_case import MemoryJsonCase
from tests.contract.store_case import write_to

if TYPE_CHECKING:
    from pathlib import Path

MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:0123456789abcdef", "here")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/app/webhook.env", ("dotenv", "FEATUREBASE_WEBHOOK_SECRET", None)),
        ("/etc/app/.env", ("dotenv", "FEATUREBASE_WEBHOOK_SECRET", None)),
        ("/etc/app/.env.production", ("dotenv", "FEATUREBASE_WEBHOOK_SECRET", None)),
        ("s3://bucket/app/webhook.json", ("json", "current", "previous")),
        ("file:///run/secrets/webhook", ("raw", None, None)),
        ("/srv/my.json.d/secret", ("raw", None, None)),
    ],
)
def test_the_suffix_decides_the_format_and_its_keys(path: str, expected: tuple[str, str | None, str | None]) -> None:
    store = ObjectStorageStore(path=path)
    assert (store.format, store.key, store.previous_key) == expected
    assert store.keeps_previous is (expected[2] is not None)


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ({"path": "/etc//app/./webhook"}, "file:///etc/app/webhook"),
        ({"path": "file:///etc/app/webhook"}, "file:///etc/app/webhook"),
        ({"path": "local:///etc/app/a.env", "key": "K"}, "file:///etc/app/a.env#K"),
        ({"path": "s3://bucket/a.json"}, "s3://bucket/a.json#current"),
        ({"path": "s3://bucket/a", "conn_id": "minio"}, "s3://minio@bucket/a"),
    ],
)
def test_equal_places_have_equal_targets(fields: dict[str, Any], target: str) -> None:
    assert ObjectStorageStore(**fields).target == target


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"path": "relative/webhook.env"}, "absolute path"),
        ({"path": "~/webhook.env"}, "absolute path"),
        ({"path": "file://host/webhook.env"}, "absolute path"),
        ({"path": "/etc/app/../passwd"}, "no '..'"),
        ({"path": "s3://bucket/../other/key"}, "no '..'"),
        ({"path": "/etc/app/"}, "not a folder"),
        ({"path": "/etc/app/\n"}, "control characters"),
        ({"path": "s3://bucket"}, "bucket and the object"),
        ({"path": "s3:///key"}, "bucket and the object"),
        ({"path": "s3://AKIA:topsecret@bucket/key"}, "conn_id"),
        ({"path": "/a", "key": "K"}, "raw has no keys"),
        ({"path": "/a", "previous_key": "K"}, "raw has no keys"),
        ({"path": "/a.json", "key": None}, "needs a key"),
        ({"path": "/a.json", "key": "x", "previous_key": "x"}, "must differ"),
        ({"path": "/a.env", "key": "A-B"}, "dotenv key"),
        ({"path": "/a.env", "previous_key": "1A"}, "dotenv key"),
        ({"path": "/a.env", "format": "toml"}, "'raw', 'json', 'dotenv', 'yaml' or 'properties'"),
        ({"path": "/a.env", "mode": 0o600}, "string"),
        ({"path": "/a.env", "mode": "0999"}, "pattern"),
        ({"path": "/a.env", "mode": "0440"}, "pattern"),
        ({"path": "/a.json", "key": "a.b\nc"}, "a name has no control characters"),
        ({"path": "/a.properties", "key": "a.b", "previous_key": ["a", "b"]}, "key and previous_key must differ"),
        ({}, "required"),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(fields: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ObjectStorageStore(**fields)
    assert hint in str(caught.value)
    assert "topsecret" not in str(caught.value)


def test_json_can_do_without_a_previous_secret() -> None:
    assert not ObjectStorageStore(path="/a.json", previous_key=None).keeps_previous


def test_a_created_file_has_the_configured_mode(tmp_path: Path) -> None:
    store = ObjectStorageStore(path=f"file://{tmp_path}/new.json", create=True, mode="0640")
    armed = store.arm()
    write_to(armed, SecretPair(SigningSecret("whsec_a")), held=armed.read(), mark=MARK)
    assert (tmp_path / "new.json").read_text() == '{"current": "whsec_a"}\n'
    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o640


def test_what_dotenv_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a.env"
    file.write_text("FEATUREBASE_WEBHOOK_SECRET=a\n")
    armed = ObjectStorageStore(path=str(file)).arm()
    with pytest.raises(StoreRefused):
        write_to(armed, SecretPair(SigningSecret("it's")), held=armed.read(), mark=MARK)
    assert file.read_text() == "FEATUREBASE_WEBHOOK_SECRET=a\n"


def test_a_large_object_is_refused() -> None:
    case = MemoryJsonCase()
    case.fs.pipe_file(case.path, b" " * (1024 * 1024 + 1))
    with pytest.raises(StoreRefused, match="larger than 1024 KiB"):
        case.config().arm().read()


@pytest.mark.parametrize("path", ["carrier-pigeon://loft/note", "ftp://host/a-file"])
def test_a_storage_that_airflow_does_not_know_says_what_to_install(path: str) -> None:
    with pytest.raises(StoreUnusable, match=r"airflow-provider-featurebase\[s3\]"):
        ObjectStorageStore(path=path).arm()


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_a_properties_file_keeps_its_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "application.properties"
    text = "# Grüße\nnimi=Õie\nsecret=whsec_{}\n"
    file.write_bytes(text.format("old").encode(encoding))
    armed = ObjectStorageStore(path=str(file), key="secret", adopt=True).arm()
    assert armed.prove_writable().proven
    held = armed.read()
    assert held.current == SigningSecret("whsec_old")
    write_to(armed, SecretPair(SigningSecret("whsec_new"), None), held=held, mark=MARK)
    assert file.read_bytes() == text.format("new").encode(encoding)


@pytest.mark.parametrize("name", ["app.env", "app.yml", "app.json", "secret"])
def test_other_files_are_utf_8(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes("# Grüße\n".encode("iso-8859-1"))
    keys = {} if name == "secret" else {"key": "KEY"}
    with pytest.raises(StoreRefused, match="not UTF-8"):
        ObjectStorageStore(path=str(file), **keys).arm().prove_writable()


def test_what_other_storages_may_lose_is_said() -> None:
    case = MemoryJsonCase()
    case.put("whsec_a")
    proof = case.config().arm().prove_writable()
    assert not proof.proven
    assert "A content type or metadata that it has may be lost" in proof.detail
