"""The plugin that brings the page "Webhook secrets" into Airflow's UI.

Airflow loads it in each of its processes; only the API server asks it for its page, so only there is anything of the
page, or FastAPI, imported.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from featurebase_provider.airflow_compat import plugin_base

ROUTE = "webhook-secrets"
"""The page's address in Airflow's UI: ``/plugin/webhook-secrets``."""
NAME = "Webhook secrets"
"""What the navigation shows. The page's script registers its component by this name."""


class FeaturebasePlugin(plugin_base()):  # type: ignore[misc]
    """The page, and the files that it consists of."""

    name = "featurebase"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The guarded route that serves the page's files."""
        from featurebase_provider.operators.links import OWN_FILES
        from featurebase_provider.plugins.files import create_app

        return [{"name": NAME, "app": create_app(), "url_prefix": OWN_FILES}]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:
        """The page."""
        from featurebase_provider import __version__
        from featurebase_provider.operators.links import own_address

        return [
            {
                "name": NAME,
                "bundle_url": own_address("page.js", v=__version__),
                "url_route": ROUTE,
                "destination": "nav",
                "icon": own_address("icon.svg"),
                "icon_dark_mode": own_address("icon-dark.svg"),
            }
        ]
