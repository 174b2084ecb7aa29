"""How the sample receiver tells a duplicate from an event."""

from __future__ import annotations

import itertools

import pytest

from featurebase_provider.rotation.signed_event import ID_PREFIX
from featurebase_provider.sandbox.inbox import PROBE_PREFIX, Inbox

ONE, OTHER = "6" * 24, "7" * 24


def event(event_id, webhook_id=ONE, **fields):
    return {
        "object": "notification_event",
        "id": event_id,
        "topic": "post.created",
        "organizationId": "65f000000000000000000001",
        "webhookId": webhook_id,
        "createdAt": "2026-01-15T10:30:00.000Z",
        "deliveryStatus": "pending",
        "data": {"object": "notification_event_data", "item": {"object": "post", "id": "p1"}},
        **fields,
    }


@pytest.fixture
def inbox():
    return Inbox()


def take(inbox, *events):
    for number, one in enumerate(events):
        inbox.accept(one, number, f"sha256:{number}")
    return [(one.id, [(repeat.id, repeat.by) for repeat in one.repeats]) for one in inbox.accepted]


def test_same_id_is_a_duplicate(inbox):
    """Whatever else is in it: a retry, or a pair of webhooks that share the id."""
    told = take(inbox, event("a"), event("a"), event("a", OTHER), event("a", topic="x"), {"id": "a"})
    assert told == [("a", [("a", "id")] * 4)]


def test_same_content_from_another_webhook_is_a_duplicate_and_says_what_verified_it(inbox):
    inbox.accept(event("a"), 1, "sha256:1")
    inbox.accept(event("b", OTHER, deliveryStatus="retrying"), 2, "sha256:2")
    inbox.accept(event("b", OTHER), 3, "sha256:2")
    (shown,) = [one.as_json() for one in inbox.accepted]
    assert shown == {
        "id": "a",
        "topic": "post.created",
        "webhookId": ONE,
        "at": 1,
        "fingerprint": "sha256:1",
        "duplicates": 2,
        "repeats": [
            {"id": "b", "webhookId": OTHER, "at": 2, "fingerprint": "sha256:2", "by": "content"},
            {"id": "b", "webhookId": OTHER, "at": 3, "fingerprint": "sha256:2", "by": "id"},
        ],
    }


def test_order_of_names_in_the_content_does_not_matter(inbox):
    swapped = {"item": {"id": "p1", "object": "post"}, "object": "notification_event_data"}
    assert len(take(inbox, event("a"), event("b", OTHER, data=swapped))) == 1


@pytest.mark.parametrize(
    "difference",
    [
        {"topic": "post.updated"},
        {"createdAt": "2026-01-15T10:30:00.001Z"},
        {"organizationId": "65f000000000000000000002"},
        {"data": {"object": "notification_event_data", "item": {"object": "post", "id": "p2"}}},
    ],
    ids=str,
)
def test_other_content_is_another_event(inbox, difference):
    assert len(take(inbox, event("a"), event("b", OTHER, **difference))) == 2


@pytest.mark.parametrize("order", [*itertools.permutations(["a", "b", "c", "d"])], ids="".join)
def test_what_one_webhook_tells_under_two_ids_has_happened_twice(inbox, order):
    """Two happenings that look alike, each told by both webhooks: two events and two duplicates in any order."""
    of = {"a": ONE, "b": ONE, "c": OTHER, "d": OTHER}
    told = take(inbox, *(event(name, of[name]) for name in order))
    assert [len(repeats) for _, repeats in told] == [1, 1]
    assert {by for _, repeats in told for _, by in repeats} == {"content"}
    assert all(of[first] != of[repeats[0][0]] for first, repeats in told)


def test_alike_events_of_one_webhook_only_are_all_accepted(inbox):
    """The other webhook has told of the first of three, and was paused then."""
    told = take(inbox, event("a"), event("b", OTHER), event("c"), event("d"))
    assert told == [("a", [("b", "content")]), ("c", []), ("d", [])]


@pytest.mark.parametrize("missing", ["topic", "createdAt", "organizationId", "data", "webhookId"])
def test_what_lacks_a_field_is_compared_by_id_only(inbox, missing):
    for event_id, webhook_id in (("a", ONE), ("b", OTHER), ("b", OTHER)):
        one = event(event_id, webhook_id)
        del one[missing]
        inbox.accept(one, 0, "")
    assert [(one.id, len(one.repeats)) for one in inbox.accepted] == [("a", 0), ("b", 1)]


def test_probes_are_not_duplicates_of_each_other(inbox):
    """Those of a pair can have the same content, whatever the rotation file's ``body`` puts into them."""
    probes = [event(f"notif_probe_{number}", webhook_id) for number in range(3) for webhook_id in (ONE, OTHER)]
    for number, probe in enumerate(probes):
        probe["id"] += str(number)
    assert [repeats for _, repeats in take(inbox, *probes)] == [[]] * 6
    inbox.accept(probes[0], 0, "")
    assert len(inbox.accepted[0].repeats) == 1, "the same probe again is one"


def test_prefix_is_that_of_the_rotations_probes():
    assert PROBE_PREFIX == ID_PREFIX
