"""What ``check-stores`` says of a pair of webhooks and its stores."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from featurebase_provider.cli.printing import show_json, show_table
from featurebase_provider.cli.webhook_check import WebhookCheck, check_pair
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.errors import MemorySpoilt
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.pair import Pair
from tests.world.fakes import MemoryStore, a_webhook, api_unreachable, fingerprint, secret

ONE, TWO = "1" * 24, "2" * 24
HOST = "https://do.featurebase.app"


def half(webhook_id: str, held: str, status: str = "active", **facts: Any) -> Webhook:
    return a_webhook(f"whsec_{held}", id=webhook_id, status=status, **facts)


WELL = (half(ONE, "a"), half(TWO, "b", "paused"))


def store(current: str | None, previous: str | None = None) -> MemoryStore:
    values = {"value": secret(current) if current else None, "previous": secret(previous) if previous else None}
    return MemoryStore("vault", keeps_previous=True, **values)


def check(*webhooks: Webhook, held: MemoryStore | None = None, known: tuple[str, ...] = ()) -> WebhookCheck:
    stores = (held or store("a"),)
    config = WebhookConfig.model_construct(name="production", webhook_ids=(ONE, TWO), stores=stores)
    histories = {webhook_id: History(webhook_id).knowing(known=map(fingerprint, known)) for webhook_id in (ONE, TWO)}
    read = Pair.of((ONE, TWO), webhooks or WELL), HOST
    return check_pair(config, lambda config: read, lambda config, host, webhook_id: histories[webhook_id])


@pytest.mark.parametrize("held", [("a", None), ("a", "b"), ("b", "a")])
def test_nothing_to_look_after(held: tuple[str, str | None]) -> None:
    found = check(held=store(*held))
    assert (found.webhook_id, found.fingerprint, found.findings) == (ONE, fingerprint("a"), ())
    assert found.stores[0].holding == "matches"


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (("b", None), f"not the secret of webhook {ONE} ({fingerprint('a')})"),
        (("a", "old"), f"it holds {fingerprint('old')}, which is no longer the secret of either webhook"),
        (("a", "theirs"), "a previous value"),
        (("theirs", None), "adopt: true"),
        ((None, None), "it holds no secret yet"),
    ],
)
def test_both_places_are_judged(held: tuple[str | None, str | None], words: str) -> None:
    (text,) = check(held=store(*held), known=("old",)).findings
    assert words in text
    assert ("mode=distribute" in text) == ("theirs" not in held)


@pytest.mark.parametrize(
    ("webhooks", "words"),
    [
        ((half(ONE, "a"), half(TWO, "b")), "both webhooks of the pair are active"),
        ((half(ONE, "a", "paused"), half(TWO, "b", "suspended")), f"{TWO} is 'suspended'"),
        ((half(ONE, "a"), half(TWO, "b", "suspended")), "the standby of the pair is not paused"),
        ((half(ONE, "a"),), f"webhook {TWO} of the pair does not exist"),
        ((half(ONE, "a"), half(TWO, "b", "paused", url="https://other.example")), "differ in url"),
    ],
)
def test_what_is_wrong_with_the_webhooks(webhooks: tuple[Webhook, ...], words: str) -> None:
    (text,) = check(*webhooks, held=store("a", "b") if len(webhooks) > 1 else None).findings
    assert words in text


def test_a_pair_that_cannot_be_read_is_not_compared() -> None:
    def read(config: WebhookConfig) -> tuple[Pair, str]:
        raise api_unreachable()

    config = WebhookConfig.model_construct(name="production", webhook_ids=(ONE, TWO), stores=(store("a"),))
    found = check_pair(config, read, lambda *asked: History(ONE))
    assert [one.holding for one in found.stores] == ["not_compared"]
    assert len(found.findings) == 1


def test_records_of_one_half_that_are_spoilt_are_named() -> None:
    def history_of(config: WebhookConfig, host: str, webhook_id: str) -> History:
        if webhook_id == TWO:
            raise MemorySpoilt(TWO, "a_variable", "holds something else")
        return History(webhook_id).knowing(known=[fingerprint("old")])

    config = WebhookConfig.model_construct(name="production", webhook_ids=(ONE, TWO), stores=(store("old"),))
    found = check_pair(config, lambda config: (Pair.of((ONE, TWO), WELL), HOST), history_of)
    assert "a_variable" in str(found.problem)
    assert found.stores[0].holding == "differs"


def test_the_table_and_the_json_show_both_halves() -> None:
    found = check(held=store("b", "a"))
    out = io.StringIO()
    show_table([found], (), out=out)
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert f"production Featurebase, {ONE}, active {fingerprint('a')}" in lines
    assert f"Featurebase, {TWO}, paused {fingerprint('b')}" in lines
    assert any(f"{fingerprint('b')} (current, of {TWO})" in line for line in lines)
    assert any(f"{fingerprint('a')} (previous, of {ONE})" in line for line in lines)
    out = io.StringIO()
    show_json([found], (), out=out)
    (shown,) = json.loads(out.getvalue())["webhooks"]
    assert [(one["webhook_id"], one["status"]) for one in shown["halves"]] == [(ONE, "active"), (TWO, "paused")]
    assert shown["stores"][0]["slots"] == {"current": TWO, "previous": ONE}
    assert shown["stores"][0]["previous"] == fingerprint("a")
    assert "whsec_" not in out.getvalue()
