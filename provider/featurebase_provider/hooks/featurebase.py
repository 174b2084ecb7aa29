"""Builds a Featurebase client from an Airflow connection."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from airflow.sdk import BaseHook
from pydantic import SecretStr

from featurebase_provider.airflow_compat import AirflowNotFoundException
from featurebase_provider.featurebase.client import AsyncClient, Client
from featurebase_provider.featurebase.errors import FeaturebaseError, SettingsInvalid, SettingsUnknown
from featurebase_provider.featurebase.settings import (
    DEFAULT_API_VERSION,
    DEFAULT_BASE_URL,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    ApiSettings,
    url_problem,
)
from featurebase_provider.hooks import DEFAULT_CONN_ID
from featurebase_provider.hooks.masking import amask, mask
from featurebase_provider.stores.shared.airflow_channel import is_connection_missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Connection

    from featurebase_provider.featurebase.pace import Pace


def settings_from(connection: Connection, extra: Mapping[str, Any]) -> ApiSettings:
    """Read the client's settings from the fields of an Airflow connection.

    :param extra: the connection's ``extra``, parsed.
    :raises SettingsInvalid: a field is missing or invalid; the message names the connection.
    """
    try:
        return _settings(connection, extra)
    except SettingsInvalid as exc:
        fault = exc.with_traceback(None)
    # Error trackers send what an error's frames hold, and a connection shows its password.
    del connection, extra
    raise fault


def _settings(connection: Connection, extra: Mapping[str, Any]) -> ApiSettings:
    source = f"connection {connection.conn_id!r}"
    if not connection.password:
        raise SettingsInvalid(source, "the password field is empty; put a Featurebase API key (sk_...) there")
    return ApiSettings(
        api_key=SecretStr(connection.password),
        base_url=_base_url(source, connection),
        api_version=str(extra.get("api_version") or DEFAULT_API_VERSION),
        timeout=_number(source, "timeout", extra.get("timeout"), DEFAULT_TIMEOUT),
        max_retries=_whole(source, "max_retries", extra.get("max_retries"), DEFAULT_MAX_RETRIES),
        source=source,
    )


def _base_url(source: str, connection: Connection) -> str:
    """The host field as a URL. A host without a scheme means https; the port field is added if it is set."""
    host = (connection.host or "").strip().rstrip("/")
    if not host:
        if connection.port:
            raise SettingsInvalid(source, "it has a port but no host; fill in the host field or clear the port field")
        return DEFAULT_BASE_URL
    scheme, found, rest = host.partition("://")
    if not found:
        scheme, rest = connection.schema or "https", host
    authority, slash, path = rest.partition("/")
    with suppress(ValueError):
        authority = f"[{IPv6Address(authority)}]"  # Airflow takes the brackets off, where the connection is a URI
    url = f"{scheme}://{authority}{slash}{path}"
    if problem := url_problem(url):
        raise SettingsInvalid(source, problem)
    # Not asked of httpx, which drops a port that is the scheme's own.
    if connection.port and urlsplit(url).port is None:
        return str(httpx.URL(url).copy_with(port=connection.port))
    return url


def extra_problem(extra: str | None) -> str | None:
    """What is wrong with a connection's ``extra``, or None; Airflow itself ignores text that is not JSON."""
    try:
        value = json.loads(extra or "{}")
    except (ValueError, RecursionError):
        return "the extra field is not valid JSON"
    if value is None or isinstance(value, dict):
        return None
    return 'the extra field must be a JSON object, such as {"timeout": 10}'


def _number(source: str, name: str, value: Any, default: float) -> float:
    if value is None or value == "":
        return float(default)
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SettingsInvalid(source, f"extra field {name!r} is not a number")


def _whole(source: str, name: str, value: Any, default: int) -> int:
    number = _number(source, name, value, default)
    if not number.is_integer():
        raise SettingsInvalid(source, f"extra field {name!r} is not a whole number")
    return int(number)


class FeaturebaseHook(BaseHook):
    """Calls the Featurebase API with the credentials of an Airflow connection.

    The connection's password is the API key, and its host is the base URL (default ``https://do.featurebase.app``). Its
    extras are ``api_version``, ``timeout`` (seconds) and ``max_retries`` (of reads; a refresh is never retried).

    :param featurebase_conn_id: the connection's id.
    """

    conn_name_attr = "featurebase_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "featurebase"
    hook_name = "Featurebase"

    def __init__(self, featurebase_conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__()
        self.featurebase_conn_id = featurebase_conn_id

    def get_conn(self) -> Client:
        """Build a client. Every secret that it reads is masked in the log at once.

        Call this on the task's main thread, and close the client (it is a context manager).

        :raises SettingsInvalid: the connection does not exist, or its settings are invalid (no API key, bad URL).
        :raises SettingsUnknown: Airflow could not be asked for the connection.
        """
        settings = settings_from(*self._fields())
        mask(settings.api_key.get_secret_value())
        return Client(settings, on_secret=mask)

    async def aget_conn(self) -> AsyncClient:
        """Build an async client, for an event loop, where Airflow's sync accessors may deadlock.

        :raises SettingsInvalid: the connection does not exist, or its settings are invalid (no API key, bad URL).
        """
        return await self.aclient(await self.asettings())

    async def asettings(self) -> ApiSettings:
        """Read the connection's settings in an event loop.

        :raises SettingsInvalid: the connection does not exist, or its settings are invalid (no API key, bad URL).
        """
        settings = settings_from(*await self._afields())
        await amask(settings.api_key.get_secret_value())
        return settings

    async def aclient(self, settings: ApiSettings, *, pace: Pace | None = None) -> AsyncClient:
        """Build an async client that masks every secret that it reads.

        A thread builds it: loading the trusted certificates would hold up the event loop.

        :param pace: gives each call its turn.
        :raises SettingsInvalid: the environment's proxy or certificate settings are unusable.
        """
        return await asyncio.to_thread(AsyncClient, settings, on_secret=amask, pace=pace)

    def _fields(self) -> tuple[Connection, Mapping[str, Any]]:
        try:
            connection = self.get_connection(self.featurebase_conn_id)
        except (AirflowNotFoundException, PermissionError):  # the latter from 3.3 on, where Airflow denies it
            connection = None
        if connection is None:
            raise self._no_connection(is_missing=is_connection_missing(self.featurebase_conn_id))
        if problem := extra_problem(connection.extra):
            del connection  # error trackers send what an error's frames hold, and a connection shows its password
            raise SettingsInvalid(self._source, problem)
        return connection, connection.extra_dejson or {}

    async def _afields(self) -> tuple[Connection, Mapping[str, Any]]:
        try:
            connection = await self.aget_connection(self.featurebase_conn_id)
        except (AirflowNotFoundException, PermissionError):  # the latter from 3.3 on, where Airflow denies it
            connection = None
        if connection is None:
            # In a trigger an outage looks the same, and Airflow can't be asked in another way.
            raise self._no_connection(is_missing=True)
        if problem := extra_problem(connection.extra):
            del connection  # error trackers send what an error's frames hold, and a connection shows its password
            raise SettingsInvalid(self._source, problem)
        extra = await connection.aextra_dejson() if hasattr(connection, "aextra_dejson") else None
        return connection, (connection.extra_dejson if extra is None else extra) or {}

    @property
    def _source(self) -> str:
        return f"connection {self.featurebase_conn_id!r}"

    def _no_connection(self, *, is_missing: bool) -> SettingsInvalid | SettingsUnknown:
        if is_missing:
            problem = "this Airflow connection does not exist; create it, or correct featurebase_conn_id"
            return SettingsInvalid(self._source, problem)
        problem = "Airflow did not return it, nor report it missing: there is an outage, or this task may not read it"
        return SettingsUnknown(self._source, f"{problem}. A retry is safe")

    def test_connection(self) -> tuple[bool, str]:
        """Answer the connection form's Test button: list one webhook with the key and the version."""
        where = ""
        try:
            with self.get_conn() as client:
                where = f"{client.settings.base_url}: "
                names = [webhook.name for webhook in client.list_webhooks()]
        except FeaturebaseError as exc:
            return False, f"{where}{exc}"
        return True, f"{where}Featurebase accepted the API key; the workspace has {len(names)} webhooks"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Labels of the connection form, for Airflow 3.1; newer versions read the provider's metadata."""
        return {
            "hidden_fields": ["schema", "login", "port", "extra"],
            "relabeling": {"password": "API key", "host": "Base URL"},
            "placeholders": {"host": DEFAULT_BASE_URL, "password": "sk_..."},
        }

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Further fields of the connection form, for Airflow 3.1."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import IntegerField, StringField
        from wtforms.validators import NumberRange, Optional

        return {
            "api_version": StringField(
                lazy_gettext("API version"), widget=BS3TextFieldWidget(), default=DEFAULT_API_VERSION
            ),
            "timeout": IntegerField(
                lazy_gettext("Timeout (seconds)"),
                widget=BS3TextFieldWidget(),
                default=int(DEFAULT_TIMEOUT),
                validators=[Optional(), NumberRange(min=1, max=300)],
            ),
            "max_retries": IntegerField(
                lazy_gettext("Retries of a read"),
                widget=BS3TextFieldWidget(),
                default=DEFAULT_MAX_RETRIES,
                validators=[Optional(), NumberRange(min=0, max=10)],
            ),
        }
