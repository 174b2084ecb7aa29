"""What the Test button of a connection says to the person who presses it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.world import API_KEY, World

pytestmark = [pytest.mark.browser, pytest.mark.airflow]

CLOSED = 9
"""A port on which nobody listens: the discard service's."""


@pytest.mark.parametrize(
    ("conn_id", "key", "port", "title", "says"),
    [
        ("right", API_KEY, None, "Test Connection Successful", ["accepted the API key; the workspace has"]),
        (
            "wrong_key",
            "sk_wrong",
            None,
            "Test Connection Failed",
            ["answered 401", "The API key is not valid", "check the API key in the connection's password field"],
        ),
        (
            "wrong_host",
            API_KEY,
            CLOSED,
            "Test Connection Failed",
            [f"http://127.0.0.1:{CLOSED}", "could not be sent", "check the network and the connection's base URL"],
        ),
    ],
    ids=["right", "wrong key", "wrong host"],
)
def test_the_button_says_what_is_wrong(
    page: Page,
    airflow: LocalAirflow,
    world: World,
    conn_id: str,
    key: str,
    port: int | None,
    title: str,
    says: list[str],
) -> None:
    """Where, what, and what to check; never the key. The port stands in its own field: docs/connection.md says why."""
    at = urlsplit(world.url)
    airflow.api.add_connection(
        conn_id, conn_type="featurebase", host=f"{at.scheme}://{at.hostname}", port=port or at.port, password=key
    )
    page.goto(f"{airflow.url}/connections")
    page.get_by_role("row", name=conn_id).get_by_role("button", name="Test Connection").click()
    told = page.locator("[data-scope=toast][data-part=root]")
    expect(told).to_contain_text(title)
    for part in says:
        expect(told).to_contain_text(part)
    expect(told).not_to_contain_text(key)
