from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from featurebase_provider.rotation.errors import PlanRefused
from featurebase_provider.rotation.find import find_webhook
from tests.world.fakes import a_webhook

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import Webhook


class Lists:
    """Webhooks, of which each read shows another state than the list."""

    def __init__(self, *names: str) -> None:
        self.webhooks = [a_webhook(id=f"{number:024x}", name=name) for number, name in enumerate(names)]

    def list_webhooks(self) -> list[Webhook]:
        return self.webhooks

    def get_webhook(self, webhook_id: str) -> Webhook:
        return a_webhook("whsec_read", id=webhook_id, name="read")


def test_an_id_is_read_and_nothing_is_listed() -> None:
    assert find_webhook(Lists(), "0" * 24, "whatever").name == "read"


def test_a_name_that_one_webhook_has_is_read_by_its_id() -> None:
    found = find_webhook(Lists("Other", "Mine"), "", "Mine")
    assert (found.id, found.name) == (f"{1:024x}", "read")


@pytest.mark.parametrize(
    ("names", "said"), [(["mine"], "no webhook has the name 'Mine'"), (["Mine"] * 2, rf"2 webhooks \({0:024x}, ")]
)
def test_a_name_must_mean_one_webhook(names: list[str], said: str) -> None:
    with pytest.raises(PlanRefused, match=f"{said}.*nothing was changed"):
        find_webhook(Lists(*names), "", "Mine")


@pytest.mark.parametrize("name", [None, ""])
def test_something_must_be_meant(name: str | None) -> None:
    with pytest.raises(PlanRefused, match="webhook_id and webhook_name are both empty"):
        find_webhook(Lists(), "", name)
