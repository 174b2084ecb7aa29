"""Links from a task to the Featurebase dashboard, and to the report as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import BaseOperatorLink

from featurebase_provider.airflow_compat import airflow_conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

OWN_FILES = "/featurebase"
"""Where Airflow serves this provider's pages, below its own address."""


def own_address(file: str, **query: str | int) -> str:
    """The address of one of this provider's pages, on whatever host the reader's browser is.

    Only the path of ``[api] base_url`` counts: Airflow may be reached by several names.
    """
    path = urlsplit(str(airflow_conf().get("api", "base_url", fallback="") or "")).path.rstrip("/")
    return f"{path}{OWN_FILES}/{file}" + (f"?{urlencode(query)}" if query else "")


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


class RotationReportLink(BaseOperatorLink):
    """Opens the report as a page, to read, print or keep."""

    @property
    def name(self) -> str:
        """The button's text."""
        return "Report as a page"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address. Airflow calls this when the task has ended, and stores the result."""
        return own_address(
            "report.html",
            dag_id=ti_key.dag_id,
            run_id=ti_key.run_id,
            task_id=ti_key.task_id,
            map_index=ti_key.map_index,
        )
