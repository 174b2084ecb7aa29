"""Making the second half of a pair, against the sandbox, with each call going wrong in each way."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from featurebase_provider.featurebase.client import Client
from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.settings import ApiSettings
from featurebase_provider.rotation.errors import PairingRefused, PairingUnfinished
from featurebase_provider.rotation.pair import Pair, differences
from featurebase_provider.rotation.pairing import FIRST_TOPIC, Pairing, Survey, second_name, survey
from featurebase_provider.sandbox.inputs import KNOWN_TOPICS
from tests.world.fakes import Clock
from tests.world.featurebase import HEADER_VALUE, TOPIC, FeaturebaseWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = "/v2/webhooks"
ONE = "/v2/webhooks/*"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FeaturebaseWorld]:
    with FeaturebaseWorld(tmp_path / "world") as world:
        yield world


@pytest.fixture
def api(world: FeaturebaseWorld) -> Iterator[Client]:
    settings = ApiSettings(api_key=SecretStr(world.api_key), base_url=world.url, timeout=5, max_retries=1)
    with Client(settings, sleep=lambda seconds: None) as client:
        yield client


def look(api: Client, world: FeaturebaseWorld) -> Survey:
    return survey(api, api.get_webhook(world.webhook_id))


def make(api: Client, world: FeaturebaseWorld, *, grace: float = 2.0, **changes: Any) -> Webhook:
    """One call of the command, without its words."""
    return Pairing(api, grace=grace, **changes).make(look(api, world))


def fault(world: FeaturebaseWorld, kind: str, method: str, path: str, **how: Any) -> None:
    world.control("POST", "/faults", kind=kind, method=method, path=path, **how)


def webhooks(world: FeaturebaseWorld) -> list[dict[str, Any]]:
    return list(world.api("GET", ALL)["data"])


def assert_pair(api: Client, world: FeaturebaseWorld, second: Webhook) -> None:
    """Two webhooks, alike in all that matters; the new one is paused, and the first is as it was."""
    first = api.get_webhook(world.webhook_id)
    assert {webhook["id"] for webhook in webhooks(world)} == {first.id, second.id}
    assert differences(Pair.of((first.id, second.id), (first, second))) == ()
    assert (first.status, second.status) == ("active", "paused")
    assert [value.get_secret_value() for value in second.request_config.headers.values()] == [HEADER_VALUE]
    assert first.fingerprint != second.fingerprint


def test_it_is_born_with_one_topic_and_then_paused_with_all(api: Client, world: FeaturebaseWorld) -> None:
    """Two writes, no more: while it is active it has one rare topic, and the receiver gets nothing from it."""
    said: list[str] = []
    second = make(api, world, say=said.append)
    assert_pair(api, world, second)
    writes = [call for call in world.sandbox.state.journal.calls if call.method != "GET"][1:]  # after the world's own
    assert [(call.method, call.path) for call in writes] == [("POST", ALL), ("PATCH", f"{ALL}/{second.id}")]
    assert FIRST_TOPIC in KNOWN_TOPICS
    assert second.topics == (TOPIC,)
    assert second.name == "Production (second half)"
    assert [second.id in text for text in said] == [True, True]
    assert not [value for text in said for value in (*world.secrets.values(), HEADER_VALUE) if value in text]
    assert second.last_status is None


def test_the_receiver_refuses_what_comes_before_the_pause(api: Client, world: FeaturebaseWorld) -> None:
    """It does not know the new secret. The first webhook's deliveries and figures are what they were."""

    def say(text: str) -> None:
        if text.startswith("made"):
            world.control("POST", "/events", topic=FIRST_TOPIC)
            (second,) = [webhook["id"] for webhook in webhooks(world) if webhook["id"] != world.webhook_id]
            ends = time.monotonic() + 60
            while (shown := api.get_webhook(second)).last_status is None:
                assert time.monotonic() < ends
                time.sleep(0.05)
            assert shown.last_status.code == 401

    assert_pair(api, world, make(api, world, say=say))
    world.emit()
    ends = time.monotonic() + 60
    while (first := api.get_webhook(world.webhook_id)).last_status is None:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert first.last_status.code == 200
    assert first.health.errors_since_last_success == 0


def test_a_second_call_only_compares(api: Client, world: FeaturebaseWorld) -> None:
    second = make(api, world)
    calls = len([call for call in world.sandbox.state.journal.calls if call.method != "GET"])
    assert make(api, world).id == second.id
    assert len([call for call in world.sandbox.state.journal.calls if call.method != "GET"]) == calls


def test_after_a_cut_over_it_is_still_the_second_half(api: Client, world: FeaturebaseWorld) -> None:
    """The other way round they are a pair too."""
    second = make(api, world)
    api.update_webhook(second.id, status="active")
    api.update_webhook(world.webhook_id, status="paused")
    assert make(api, world).id == second.id


LOST = [
    ("drop_response", {}),
    ("status", {"status": 500, "commit": True}),
    ("reset", {"commit": True}),
    ("malformed", {"body": "truncated"}),
    ("malformed", {"body": "html"}),
    ("late_commit", {"status": 503, "seconds": 1.0}),
]


@pytest.mark.parametrize(("kind", "how"), LOST)
def test_a_create_whose_answer_is_lost_is_looked_up(
    api: Client, world: FeaturebaseWorld, kind: str, how: dict[str, Any]
) -> None:
    """Nothing is made a second time."""
    fault(world, kind, "POST", ALL, **how)
    second = make(api, world, grace=5.0)
    assert_pair(api, world, second)
    assert world.calls("POST", ALL) == 2  # the world's own, and one


@pytest.mark.parametrize(("kind", "how"), LOST)
def test_a_patch_whose_answer_is_lost_is_sent_again(
    api: Client, world: FeaturebaseWorld, kind: str, how: dict[str, Any]
) -> None:
    fault(world, kind, "PATCH", ONE, **how)
    assert_pair(api, world, make(api, world, grace=5.0))


@pytest.mark.parametrize(("kind", "how"), [("status", {"status": 500}), ("status", {"status": 429}), ("reset", {})])
def test_a_patch_that_had_no_effect_is_sent_again(
    api: Client, world: FeaturebaseWorld, kind: str, how: dict[str, Any]
) -> None:
    fault(world, kind, "PATCH", ONE, **how)
    assert_pair(api, world, make(api, world))


def test_nothing_appears_after_a_lost_create(api: Client, world: FeaturebaseWorld) -> None:
    """The message says that it is unknown; a later call looks first."""
    fault(world, "status", "POST", ALL, status=500)
    with pytest.raises(PairingUnfinished, match="unknown whether a second webhook was made: in 1 s none appeared"):
        make(api, world, grace=1.0)
    assert len(webhooks(world)) == 1
    assert_pair(api, world, make(api, world))


def test_a_create_that_takes_effect_after_the_call_is_found_by_the_next_one(
    api: Client, world: FeaturebaseWorld
) -> None:
    fault(world, "late_commit", "POST", ALL, status=504, seconds=3.0)
    with pytest.raises(PairingUnfinished):
        make(api, world, grace=0.5)
    ends = time.monotonic() + 10
    while len(webhooks(world)) == 1:
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert_pair(api, world, make(api, world))
    assert world.calls("POST", ALL) == 2


def test_an_outage_after_a_lost_create_is_waited_out(api: Client, world: FeaturebaseWorld) -> None:
    """Each read is sent twice here, so this is one that fails, and one that succeeds."""
    found = look(api, world)
    fault(world, "drop_response", "POST", ALL)
    fault(world, "status", "GET", ALL, status=503, count=2)
    assert_pair(api, world, Pairing(api, grace=3.0).make(found))


def test_the_webhooks_can_t_be_read_after_a_lost_create(api: Client, world: FeaturebaseWorld) -> None:
    found = look(api, world)
    fault(world, "drop_response", "POST", ALL)
    fault(world, "status", "GET", ALL, status=403, count=100)
    with pytest.raises(PairingUnfinished, match="can't be read: Featurebase answered 403"):
        Pairing(api, grace=1.0).make(found)
    world.control("DELETE", "/faults")
    assert_pair(api, world, make(api, world))


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_call_that_was_killed_in_between_is_finished_by_the_next_one(
    api: Client, world: FeaturebaseWorld, method: str
) -> None:
    """After the webhook was made, and after it was paused."""
    killed = KeyboardInterrupt()

    def say(text: str) -> None:
        if ("made" if method == "POST" else "paused") in text:
            raise killed

    with pytest.raises(KeyboardInterrupt):
        make(api, world, say=say)
    assert len(webhooks(world)) == 2
    found = look(api, world)
    assert found.is_finished is (method == "PATCH")
    assert_pair(api, world, make(api, world))
    assert world.calls("POST", ALL) == 2


def test_what_can_t_be_paused_is_deleted_by_the_call_that_made_it(api: Client, world: FeaturebaseWorld) -> None:
    fault(world, "status", "PATCH", ONE, status=400)
    with pytest.raises(PairingRefused, match="could not be paused .* 400 .* was deleted. Nothing is left"):
        make(api, world)
    assert [webhook["id"] for webhook in webhooks(world)] == [world.webhook_id]


def test_a_status_that_has_no_effect_counts_as_not_paused(
    api: Client, world: FeaturebaseWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Featurebase answers 200, and the webhook is still active."""
    update = api.update_webhook
    monkeypatch.setattr(api, "update_webhook", lambda own, *, status, **changes: update(own, **changes))
    with pytest.raises(PairingRefused, match="answered that it is 'active'.*was deleted"):
        make(api, world, grace=0.5)
    assert [webhook["id"] for webhook in webhooks(world)] == [world.webhook_id]


def test_a_person_deletes_it_before_it_is_paused(api: Client, world: FeaturebaseWorld) -> None:
    def say(text: str) -> None:
        found = re.match("made webhook ([0-9a-f]+)", text)
        if found:
            api.delete_webhook(found[1])

    with pytest.raises(PairingRefused, match=r"could not be paused \(Featurebase answered 404"):
        make(api, world, say=say)
    assert_pair(api, world, make(api, world))


def test_what_an_earlier_call_made_is_never_deleted(api: Client, world: FeaturebaseWorld) -> None:
    def say(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(api, world, say=say)
    fault(world, "status", "PATCH", ONE, status=400)
    with pytest.raises(PairingUnfinished, match="It is left as it was. It may still be active, for the topic"):
        make(api, world)
    assert len(webhooks(world)) == 2
    assert world.calls("DELETE") == 0
    assert_pair(api, world, make(api, world))


def test_what_can_neither_be_paused_nor_deleted_is_named(api: Client, world: FeaturebaseWorld) -> None:
    fault(world, "status", "PATCH", ONE, status=500, count=100)
    fault(world, "reset", "DELETE", ONE)
    with pytest.raises(PairingUnfinished, match="could not be deleted either") as caught:
        make(api, world, grace=1.0)
    (left,) = [webhook for webhook in webhooks(world) if webhook["id"] != world.webhook_id]
    assert (left["id"] in str(caught.value), left["topics"], left["status"]) == (True, [FIRST_TOPIC], "active")
    world.control("DELETE", "/faults")
    assert_pair(api, world, make(api, world))


def test_two_calls_at_once_make_one(api: Client, world: FeaturebaseWorld) -> None:
    """Both looked before either had made one: the second takes back its own."""
    found = look(api, world)
    second = Pairing(api).make(found)
    with pytest.raises(PairingUnfinished, match=rf"at the same time: {second.id}\. .* was deleted"):
        Pairing(api).make(found)
    assert_pair(api, world, make(api, world))


def test_two_second_halves_are_named_and_left(api: Client, world: FeaturebaseWorld) -> None:
    second = make(api, world)
    twin = world.create_webhook("Twin", f"{world.receiver.url}/webhook")
    api.update_webhook(twin["id"], description=second.description)
    with pytest.raises(PairingRefused, match="2 second halves") as caught:
        look(api, world)
    assert second.id in str(caught.value)
    assert twin["id"] in str(caught.value)


REFUSALS = [
    ("at the limit", "webhook_limit_reached"),
    ("same url", "url"),
    ("unauthorised", "API key"),
]


@pytest.mark.parametrize(("case", "words"), REFUSALS)
def test_a_refusal_is_quoted(api: Client, world: FeaturebaseWorld, case: str, words: str) -> None:
    """Nothing was made, and no header's value is told."""
    found = look(api, world)
    if case == "at the limit":
        for number in range(9):
            world.create_webhook(f"Filler {number}", f"{world.receiver.url}/{number}")
    elif case == "same url":
        world.behave(same_url="refused")
    else:
        fault(world, "status", "POST", ALL, status=401)
    before = len(webhooks(world))
    with pytest.raises(PairingRefused, match="no second webhook was made: Featurebase answered 40[01]") as caught:
        Pairing(api).make(found)
    assert words in str(caught.value)
    assert HEADER_VALUE not in str(caught.value)
    assert len(webhooks(world)) == before


@pytest.mark.parametrize("status", ["paused", "suspended"])
def test_a_webhook_that_does_not_deliver_gets_no_second_half(api: Client, world: FeaturebaseWorld, status: str) -> None:
    world.force(status=status)
    with pytest.raises(PairingRefused, match=f"it is '{status}'"):
        look(api, world)


def test_a_second_half_gets_none(api: Client, world: FeaturebaseWorld) -> None:
    second = make(api, world)
    with pytest.raises(PairingRefused, match=rf"webhook_ids: \[{world.webhook_id}, {second.id}\]"):
        survey(api, second)


def test_a_paused_webhook_that_delivers_the_same_is_taken_for_one(api: Client, world: FeaturebaseWorld) -> None:
    """A person made it, or took the mark out of its description."""
    twin = world.create_webhook("By hand", f"{world.receiver.url}/webhook")
    assert look(api, world).same_url == (twin["id"],)
    api.update_webhook(twin["id"], status="paused")
    with pytest.raises(PairingRefused, match=f"{twin['id']} is paused and delivers the same already"):
        look(api, world)


def test_what_can_t_be_read_is_not_copied(api: Client, world: FeaturebaseWorld) -> None:
    world.force(extra={"requestConfig": {"timeoutMs": "soon", "headers": {}}})
    with pytest.raises(PairingRefused, match="no usable requestConfig"):
        look(api, world)


def test_a_difference_is_named_and_left(api: Client, world: FeaturebaseWorld) -> None:
    """Somebody changed one half; nothing is written."""
    second = make(api, world)
    api.update_webhook(second.id, topics=["post.deleted"], headers={"X-Other": "a"})
    writes = world.calls("PATCH")
    found = look(api, world)
    with pytest.raises(PairingUnfinished, match="they differ in topics, request headers"):
        Pairing(api, clock=Clock()).make(found)
    api.update_webhook(second.id, topics=[TOPIC], headers={"X-Receiver-Key": HEADER_VALUE}, status="active")
    with pytest.raises(PairingUnfinished, match=f"{second.id} is 'active'"):
        Pairing(api, clock=Clock()).make(found)
    assert world.calls("PATCH") == writes + 1


def test_an_outage_after_the_create_says_what_was_made(api: Client, world: FeaturebaseWorld) -> None:
    fault(world, "status", "GET", ONE, status=401, count=100)
    found = Survey(next(iter(api.list_webhooks())), None, 1)
    with pytest.raises(ApiError, match=r"Webhook \w+ is the second half; run the command again"):
        Pairing(api).make(found)
    world.control("DELETE", "/faults")
    assert_pair(api, world, make(api, world))


def test_a_stale_read_of_the_pair_is_read_again(api: Client, world: FeaturebaseWorld) -> None:
    found = look(api, world)
    fault(world, "stale_read", "GET", ONE, count=2)
    assert_pair(api, world, Pairing(api).make(found))


@pytest.mark.parametrize(("name", "expected"), [("", "(second half)"), ("x" * 100, "x" * 86 + " (second half)")])
def test_the_name_fits(name: str, expected: str) -> None:
    assert second_name(Webhook(id="a" * 24, name=name)) == expected
    assert len(expected) <= 100
