"""Links from a task to the Featurebase dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class FeaturebaseWebhookLink(BaseOperatorLink):
    """Opens the webhook's page in the Featurebase dashboard.

    Featurebase documents no address for that page, so it comes from the operator's ``dashboard_url``, in which
    ``{webhook_id}`` is replaced. If that is missing or not an https address, the button is disabled.
    """

    @property
    def name(self) -> str:
        """The button's text."""
        return "Webhook in Featurebase"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address. Airflow calls this when the task has ended, and stores the result."""
        url = str(getattr(operator, "dashboard_url", None) or "")
        if not url.startswith("https://") or not url.isprintable():
            return ""
        return url.replace("{webhook_id}", quote(str(getattr(operator, "webhook_id", None) or ""), safe=""))
