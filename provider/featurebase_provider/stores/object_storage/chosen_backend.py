"""Which file system an object lies on, and the code that reads and writes there. Loads what that one needs only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featurebase_provider.stores.object_storage.backend import ObjectBackend


def backend_of(name: str, path: str, *, local_path: str | None, mode: str, conn_id: str | None) -> ObjectBackend:
    """What reads and writes the object at a path.

    :param name: names the store in messages.
    :param local_path: the path on this machine; None for an object elsewhere.
    :param mode: permissions of a created local file, octal.
    :param conn_id: Airflow connection for an object elsewhere.
    :raises StoreUnusable: no installed provider knows the URL's scheme, or its connection is of no use.
    """
    if local_path is not None:
        from featurebase_provider.stores.object_storage.local_file import LocalFile

        return LocalFile(name, local_path, int(mode, 8))
    from airflow.sdk import BaseHook, ObjectStoragePath

    from featurebase_provider.stores.shared.connection import AWS_LOGGERS, hook_errors, quieten

    if conn_id:  # without it, some file systems go on with whatever login the worker happens to have
        with hook_errors(name, conn_id=conn_id, extra="object_storage"):
            BaseHook.get_connection(conn_id)
    quieten(AWS_LOGGERS)  # before the file system is built, which may assume a role
    try:
        place = ObjectStoragePath(path, conn_id=conn_id)
        fs = place.fs
    except Exception as error:  # noqa: BLE001  each provider's file system fails in its own way
        from featurebase_provider.rotation.errors import StoreUnusable

        raise StoreUnusable(
            name,
            f"Airflow gives no file system for it ({error.__class__.__name__}); nothing was changed",
            "Install the Airflow provider for this kind of storage (for S3: "
            "airflow-provider-featurebase[s3]) and check conn_id",
        ) from None  # the text may quote the connection
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if "s3" in protocols:
        from featurebase_provider.stores.object_storage.s3 import S3Object

        return S3Object(name, fs, place.path)
    if "abfs" in protocols:
        from featurebase_provider.stores.object_storage.azure_blob import AzureBlob

        return AzureBlob(name, fs, place.path)
    if "gs" in protocols:
        from featurebase_provider.stores.object_storage.gcs import GcsObject

        return GcsObject(name, fs, place.path)
    from featurebase_provider.stores.object_storage.remote import RemoteObject

    return RemoteObject(name, fs, place.path)
