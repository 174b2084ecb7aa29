"""Browser pages of users with different rights, and what a test asks of them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.world.npm import installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from dev.airflow.local_airflow import LocalAirflow

ROUTE = "/plugin/webhook-secrets"
USERS = "admin:admin,op:op,viewer:viewer"
"""What the simple auth manager is told; each user is named like the role."""


def password_of(airflow: LocalAirflow, user: str) -> str:
    """The simple auth manager makes one for each user that has none."""
    return str(json.loads((airflow.home / "passwords.json").read_text())[user])


def sign_in(page: Page, airflow: LocalAirflow, user: str) -> None:
    """Fill in Airflow's form, which the page shows."""
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password_of(airflow, user))
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/auth/login" not in url)


@contextmanager
def signed_in(
    browser: Browser, airflow: LocalAirflow, user: str = "admin", *, theme: str = "light", width: int = 1440
) -> Iterator[Page]:
    """A page of somebody who has signed in."""
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="en-US", timezone_id="UTC")
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{airflow.url}/auth/login")
    sign_in(page, airflow, user)
    try:
        yield page
    finally:
        context.close()


@cache
def _axe() -> str:
    folder = installed(Path(__file__).with_name("axe"))
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations(page: Page, within: str = ".fb") -> list[str]:
    """What axe-core finds wrong for keyboards and screen readers, with the elements."""
    page.evaluate(_axe())
    found: dict[str, Any] = page.evaluate("within => axe.run(within)", within)
    assert found["passes"], "axe-core looked at nothing"
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'][:200] for node in violation['nodes'][:3]]}"
        for violation in found["violations"]
    ]


def answers(page: Page, path: str, status: int, body: object = None) -> None:
    """Have Airflow's API answer calls whose address matches ``path`` like this."""
    page.route(path, lambda route: route.fulfill(status=status, json=body if body is not None else {"detail": "so"}))


def opened(page: Page, airflow: LocalAirflow) -> Page:
    """The page, once it shows its webhooks."""
    page.goto(airflow.url + ROUTE)
    expect(page.get_by_role("heading", name="Webhooks", exact=True)).to_be_visible()
    return page
