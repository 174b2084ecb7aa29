"""Gathers what the sandbox and the receivers of a world say at the end, and sums it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dev.airflow.processes import wait_for
from dev.soak.findings import Figures, sum_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dev.soak.findings import Rotation
    from dev.soak.world import SoakWorld

DELIVERY_SECONDS = 20.0


def judge(world: SoakWorld, rotations: Sequence[Rotation], *, seconds: float) -> Figures:
    """Sum a world up; call it when the emission has stopped and the retries are over.

    :param seconds: how long it took.
    :raises DemoError: deliveries go on for longer than they can.
    """
    return sum_up(
        world.combination,
        rotations,
        **what_happened(world),
        requests=world.control("GET", "/requests"),
        current={webhook.id: world.current(webhook) for webhook in world.webhooks},
        seconds=seconds,
    )


def events_end(world: SoakWorld) -> bool:
    """Whether each event is delivered or given up."""
    return all(event["delivered"] or event["attempts"] == 4 for event in world.control("GET", "/events"))


def attempts_end(world: SoakWorld) -> bool:
    """Whether no attempt is under way; a paused webhook's events may never be delivered nor given up."""
    return all(one["statusCode"] is not None or one["error"] is not None for one in world.control("GET", "/deliveries"))


def what_happened(world: SoakWorld, *, over: Callable[[SoakWorld], bool] = events_end) -> dict[str, Any]:
    """Events, attempts to deliver them, and the ids of those that the receivers have, once all deliveries are over.

    :param over: says whether they are.
    :raises DemoError: they go on for longer than they can.
    """
    world.control("DELETE", "/faults")
    wait_for("the end of all deliveries", lambda: over(world), seconds=DELIVERY_SECONDS)
    return {
        "events": world.control("GET", "/events"),
        "deliveries": world.control("GET", "/deliveries"),
        "received": set().union(*(world.received(webhook) for webhook in world.webhooks)),
    }
