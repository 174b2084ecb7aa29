"""Serves the files of the page and of the report to those who may see plugins; to nobody else, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

FOLDER = Path(__file__).with_name("static")
_KINDS = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "private, no-cache",  # a new version of the provider has other files under the same names
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app() -> FastAPI:
    """The application that Airflow mounts. Airflow mounts it without any login, so it asks for one itself."""
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import requires_access_view
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import FileResponse

    app = FastAPI(
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
        docs_url=None,  # it has no dependencies, so strangers could read it
        redoc_url=None,
        openapi_url=None,
    )
    files = {path.name: path for path in FOLDER.iterdir() if path.suffix in _KINDS}

    def file(name: str) -> FileResponse:
        if name not in files:
            raise HTTPException(404)
        return FileResponse(files[name], media_type=_KINDS[files[name].suffix], headers=_HEADERS)

    app.get("/{name}", response_class=FileResponse)(file)
    return app
