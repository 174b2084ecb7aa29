"""Gathers what the sandbox and the receivers of a world say at the end, and sums it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dev.airflow.processes import wait_for
from dev.soak.findings import Figures, sum_up

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def what_happened(world: SoakWorld) -> dict[str, Any]:
    """Events, attempts to deliver them, and the ids of those that the receivers have, once all deliveries are over.

    :raises DemoError: they go on for longer than they can.
    """
    world.control("DELETE", "/faults")

    def over() -> bool:
        return all(event["delivered"] or event["attempts"] == 4 for event in world.control("GET", "/events"))

    wait_for("the end of all deliveries", over, seconds=DELIVERY_SECONDS)
    return {
        "events": world.control("GET", "/events"),
        "deliveries": world.control("GET", "/deliveries"),
        "received": set().union(*(world.received(webhook) for webhook in world.webhooks)),
    }
