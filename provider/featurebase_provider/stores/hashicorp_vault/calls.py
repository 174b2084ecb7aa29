"""Calls of Vault's API: what their errors mean, and where an engine is mounted. Imported by ``arm()`` only."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hvac import exceptions as vault  # noqa: TID253  this module is the store's client
from hvac.utils import format_url  # noqa: TID253
from requests import RequestException

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hvac.adapters import JSONAdapter

_ANSWERS_OF_REFUSAL = (
    vault.InvalidRequest,
    vault.Unauthorized,
    vault.Forbidden,
    vault.InvalidPath,
    vault.UnsupportedOperation,
    vault.ParamValidationError,
)
_API_PARTS = ("data/", "metadata/")


@contextmanager
def translated(store: str, problem: str, advice: str = "") -> Iterator[None]:
    """Turn errors of hvac and requests into the store's, without their text: Vault's may quote the request."""
    try:
        yield
    except StoreError:
        raise
    except vault.VaultError as error:
        # Of the bare class are the hook's own errors, such as a login without a token.
        if not isinstance(error, _ANSWERS_OF_REFUSAL) and type(error) is not vault.VaultError:
            raise StoreUnreachable(store, f"{problem} ({type(error).__name__})") from None
        raise StoreRefused(
            store,
            f"{problem} ({type(error).__name__}); nothing was changed",
            advice or "Check the token's policy, its life time, and the path",
        ) from None
    except RequestException as error:
        raise StoreUnreachable(store, f"{problem} ({type(error).__name__})") from None
    except (OSError, ValueError, LookupError, TypeError) as error:  # a token file is missing; the answer is not Vault's
        raise StoreUnreachable(
            store, f"{problem} ({type(error).__name__})", "Check that the connection leads to a Vault server"
        ) from None


def check_mount(store: str, adapter: JSONAdapter, mount: str, path: str, *, version: int) -> None:
    """Make sure that there is a KV engine of this version at this mount; any token that may use it may ask.

    Vault is asked whose the whole path is, and so tells of a mount that ends earlier or later than ours.

    :raises StoreRefused: it is not so, or the token may not use it.
    """
    with translated(
        store, f"the mount {mount} could not be looked up", f"Check mount and policy{_in_namespace(adapter)}"
    ):
        url = format_url("/v1/sys/internal/ui/mounts/{mount}/{path}", mount=mount, path=path)
        found = adapter.get(url=url)["data"]
        kind, present = str(found["type"]), str((found.get("options") or {}).get("version", "1"))
        where = str(found.get("path") or mount).strip("/")
    if kind not in {"kv", "generic"}:
        raise StoreRefused(store, f"the mount {where} is no KV engine; nothing was changed")
    # Where Vault answers with a path within a namespace that the mount begins with, neither is part of the other.
    if where != mount and (f"{mount}/".startswith(f"{where}/") or where.startswith(f"{mount}/")):
        below = f"{mount}/{path}".removeprefix(f"{where}/")
        below = path_meant(where, below, version=int(present)) or below
        raise StoreRefused(
            store,
            f"Vault's engine is mounted at {where}, not at {mount}; nothing was changed",
            f"Write mount: {where}, path: {below} and kv_version: {present}",
        )
    if present != str(version):
        raise StoreRefused(
            store,
            f"the mount {mount} is a KV engine of version {present}, not {version}",
            f"Write kv_version: {present}; nothing was changed",
        )


def path_meant(mount: str, path: str, *, version: int) -> str | None:
    """The path of the secret, where the one given looks like a path of Vault's API or begins with the mount.

    A secret may really have such a name: whoever asks looks whether there is one.

    :returns: None where the path looks like a secret's own.
    """
    meant = path.removeprefix(f"{mount}/")
    if version == 2:
        for part in _API_PARTS:
            meant = meant.removeprefix(part)
    return None if meant == path else meant


def _in_namespace(adapter: JSONAdapter) -> str:
    return f"; the connection's namespace is {adapter.namespace}" if adapter.namespace else ""
