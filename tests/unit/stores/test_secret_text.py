"""A store's text: what is made and what is refused, and where keys may lie."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import SecretPair
from featurebase_provider.stores.aws_secrets_manager import AwsSecretsManagerStore
from featurebase_provider.stores.http import HttpStore
from featurebase_provider.stores.kubernetes_secret import KubernetesSecretStore
from featurebase_provider.stores.object_storage import ObjectStorageStore
from featurebase_provider.stores.redis import RedisStore
from featurebase_provider.stores.shared.refusals import no_such_key
from featurebase_provider.stores.shared.text import SecretText, bare_secret

NEW, OLD = SigningSecret("whsec_new"), SigningSecret("whsec_old")


def text_of(**fields: Any) -> SecretText:
    return ObjectStorageStore(**{"path": "/etc/app/c.json", **fields}).secret_text()


@pytest.mark.parametrize(
    ("held", "fields", "said"),
    [
        ('{"featurebaseSecret": "a"}', {}, "holds no key current; it has featurebaseSecret;"),
        ('{"Current": "a", "url": "b"}', {}, "holds no key current; it has Current, url;"),
        ('{"featurebase": {"webhook": 1}}', {"key": "featurebase.secret"}, "it has featurebase.webhook;"),
        ('{"a": {}}', {"key": "a.b.c"}, "holds no key a.b.c; it has no keys;"),
        ("", {}, "holds no key current; it has no keys;"),
        ("SECRET=a\nURL=b\n", {"path": "/a.env", "key": "SECERT"}, "holds no key SECERT; it has SECRET, URL;"),
    ],
)  # fmt: skip
def test_a_typing_error_in_a_key_is_refused(held: str, fields: dict[str, Any], said: str) -> None:
    text = text_of(**fields)
    stored = text.stored(held, exists=True)
    assert (stored.current, stored.may_be_made) == (None, False)
    for call in (text.edited, lambda *args, **kwargs: text.tried(args[0], [args[1]], **kwargs)):
        with pytest.raises(StoreRefused) as caught:
            call(held, SecretPair(NEW), exists=True)
        assert said in str(caught.value)
        assert "write create: true to add it" in str(caught.value)


@pytest.mark.parametrize(
    ("held", "fields", "after"),
    [
        ('{"a": 1.50}', {}, '{"a": 1.50,"current": "whsec_new","previous": "whsec_old"}'),
        ('{"f": {"a": 1.50}}', {"key": "f.w.s", "previous_key": None}, '{"f": {"a": 1.50,"w": {"s": "whsec_new"}}}'),
        ('{"a": 1}', {"key": ["a.b"], "previous_key": None}, '{"a": 1,"a.b": "whsec_new"}'),
        (None, {"key": "f.s", "previous_key": "f.p"}, '{"f": {"s": "whsec_new","p": "whsec_old"}}\n'),
    ],
)
def test_a_key_is_added_if_the_store_says_create(held: str | None, fields: dict[str, Any], after: str) -> None:
    text = text_of(**fields, create=True)
    assert text.stored(held, exists=held is not None).may_be_made
    edited = text.edited(held, SecretPair(NEW, OLD), exists=held is not None)
    assert edited == after
    assert text.stored(edited, exists=True).current == NEW


@pytest.mark.parametrize("held", ['{"current": ""}', '{"current": null}'])
def test_an_empty_value_is_a_key_that_is_there(held: str) -> None:
    text = text_of()
    stored = text.stored(held, exists=True)
    assert (stored.current, stored.may_be_made) == (None, True)
    assert text.edited(held, SecretPair(NEW), exists=True) == '{"current": "whsec_new"}'


def test_a_missing_text_is_made_only_if_it_may_be() -> None:
    assert not text_of().stored(None, exists=False).may_be_made
    with pytest.raises(StoreRefused, match="the secret does not exist; nothing was changed"):
        text_of().edited(None, SecretPair(NEW), exists=False)
    anyway = ObjectStorageStore(path="/etc/c.json").secret_text(missing=None)
    assert anyway.stored(None, exists=False).may_be_made
    assert anyway.edited(None, SecretPair(NEW), exists=False) == '{"current": "whsec_new"}\n'


def test_the_message_names_ten_keys_at_most_and_makes_them_safe() -> None:
    others = ["\x1b[2J\nred", "whsec_looks_like_a_secret", *(f"K{number}" for number in range(20))]
    said = str(no_such_key("a store", "KEY", others, where="the hash"))
    assert said.isprintable()
    assert "whsec_looks" not in said
    assert "the hash holds no key KEY; it has [2J red, [redacted], K0, K1, K2, K3, K4, K5, K6, K7 and 12 more" in said
    assert "it has" not in str(no_such_key("a store", "KEY", None))


def test_the_place_of_the_previous_secret_holds_nothing_else() -> None:
    assert bare_secret("a store", None, "the key b") is None
    assert bare_secret("a store", "whsec_old", "the key b") == OLD
    with pytest.raises(StoreRefused, match=r"the key b holds variables \(KEY=...\), not a bare secret") as caught:
        bare_secret("a store", "HOST=a\nPORT=b", "the key b")
    assert str(caught.value).endswith("Name another place for it, or empty this one"), "no format would help there"


REDIS = {"key": "app:settings"}
KUBERNETES = {"namespace": "feedback", "name": "webhook"}
HTTP = {"url": "/v1", "body": '{"value": {{ secret | tojson }}}', "read": {"url": "/v1", "current": "$.value"}}
OTHER_WRITE = {"body": '{"value": {{ secret | tojson }}, "old": {{ previous | tojson }}}'}


@pytest.mark.parametrize(
    ("store", "fields", "said"),
    [
        (ObjectStorageStore, {"path": "/c.json", "key": ""}, "a name is missing"),
        (ObjectStorageStore, {"path": "/c.json", "key": "a..b"}, "a name is missing"),
        (ObjectStorageStore, {"path": "/c.json", "key": []}, "a name is missing"),
        (ObjectStorageStore, {"path": "/c.json", "key": ["a", 1]}, "a list of names"),
        (ObjectStorageStore, {"path": "/c.json", "key": 7}, "a list of names"),
        (ObjectStorageStore, {"path": "/c.json", "key": "a", "previous_key": "a.b"}, "neither in the other"),
        (ObjectStorageStore, {"path": "/c.json", "key": "a.b", "previous_key": "a"}, "neither in the other"),
        (ObjectStorageStore, {"path": "/c.env", "key": "A.B"}, "a dotenv key"),
        (AwsSecretsManagerStore, {"name": "s", "format": "dotenv"}, "the format dotenv needs a key"),
        (AwsSecretsManagerStore, {"name": "s", "format": "raw", "key": "a"}, "raw has no keys"),
        (AwsSecretsManagerStore, {"name": "s", "format": "toml", "key": "a"}, "Input should be 'raw'"),
        (RedisStore, {**REDIS, "format": "json"}, "needs a key: say under entry"),
        (RedisStore, {**REDIS, "entry": "a"}, "write format: json, or leave out entry"),
        (RedisStore, {**REDIS, "format": "json", "entry": "a", "previous_key": "b"}, "name its previous_entry"),
        (KubernetesSecretStore, {**KUBERNETES, "format": "json", "entry": "a", "previous_key": "b"}, "previous_entry"),
        (KubernetesSecretStore, {**KUBERNETES, "format": "json", "entry": "a", "previous_entry": "a"}, "must differ"),
        (KubernetesSecretStore, {**KUBERNETES, "format": "dotenv", "entry": "A", "previous_entry": "A"}, "must differ"),
        (HttpStore, {**HTTP, "read": None, "adopt": True, "format": "json", "entry": "a"}, "entry needs read"),
        (
            HttpStore,
            {
                **HTTP, **OTHER_WRITE, "format": "json", "entry": "a",
                "read": {"url": "/v1", "current": "$.value", "previous": "$.old"},
            },
            "name its previous_entry",
        ),
    ],
)  # fmt: skip
def test_configurations_that_cannot_be_are_refused(store: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        store(**fields)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("store", "target", "previous"),
    [
        (ObjectStorageStore(path="/c.json", key="a.b", previous_key=("a", "c")), "file:///c.json#a.b", "#a.c"),
        (AwsSecretsManagerStore(name="s", key="a.b"), "aws-secretsmanager://aws_default/s#a.b", None),
        (
            RedisStore(**REDIS, format="json", entry="a.b", previous_entry="a.c"),
            "redis://redis_default/app:settings#a.b",
            "#a.c",
        ),
        (
            KubernetesSecretStore(**KUBERNETES, key="app.json", format="json", entry="a.b", previous_entry="a.c"),
            "kubernetes://kubernetes_default@feedback/webhook#app.json#a.b",
            "#app.json#a.c",
        ),
        (HttpStore(**HTTP, format="dotenv", entry="A", previous_entry="B"), "http://http_default@/v1#A", "#B"),
    ],
)
def test_targets_end_in_the_path_of_the_key(store: Any, target: str, previous: str | None) -> None:
    assert store.target == target
    assert store.previous_target == (target.partition("#")[0] + previous if previous else None)


def test_a_secret_managers_format_follows_from_its_key() -> None:
    assert AwsSecretsManagerStore(name="s").format == "raw"
    assert AwsSecretsManagerStore(name="s", key="a").format == "json"
    assert AwsSecretsManagerStore(name="s", key="A", format="dotenv").format == "dotenv"
