"""The store type ``object_storage``: a local file, or an object that Airflow's object storage reaches."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import posixpath
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from featurebase_provider.stores.shared.format_names import FormatName, format_of_name
from featurebase_provider.stores.shared.formatted import DEFAULT_KEY, DEFAULT_PREVIOUS_KEY, FormattedStore
from featurebase_provider.stores.shared.keyed import Key

if TYPE_CHECKING:
    from featurebase_provider.stores.object_storage.armed import ArmedObject


def _format_of(fields: dict[str, Any]) -> FormatName:
    return format_of_name(fields["path"])


class ObjectStorageStore(FormattedStore):
    """The signing secret in a file or an object.

    Local files are replaced atomically. S3 objects are written on the condition that nobody else wrote.
    Elsewhere the object is compared just before it is written.

    :param path: an absolute path, ``file:///...``, or any URL that Airflow's object storage knows
        (``s3://bucket/key``). A path on a worker is that worker's own, unless it is on a shared volume.
    :param conn_id: Airflow connection for that storage.
    :param format: ``raw`` (nothing but the secret), ``json``, ``dotenv``, ``yaml`` or ``properties``; by default as its
        name says.
    :param key: where the secret lies in JSON (``current``) or dotenv (``FEATUREBASE_WEBHOOK_SECRET``).
    :param previous_key: where the previous secret lies; ``previous`` in JSON unless set to null.
    :param create: whether a missing file or object is created, and a missing key of an existing one added; a folder or
        bucket never is made.
    :param mode: permissions of a created local file, octal as text (``"0600"``); its owner may read and write it.
    """

    type: Literal["object_storage"] = "object_storage"
    path: Annotated[str, Field(min_length=1, max_length=2048)]
    conn_id: Annotated[str, Field(min_length=1)] | None = None
    format: FormatName = Field(default_factory=_format_of, validate_default=True)
    key: Key | None = Field(default_factory=lambda fields: DEFAULT_KEY.get(fields["format"]))
    previous_key: Key | None = Field(default_factory=lambda fields: DEFAULT_PREVIOUS_KEY.get(fields["format"]))
    create: bool = False
    mode: Annotated[str, Field(pattern=r"^0?[67][0-7]{2}$")] = "0600"

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        scheme, rest = path.split("://", 1) if "://" in path else ("file", path)
        if re.search(r"[\x00-\x1f\x7f]", path):
            raise ValueError("a path has no control characters")
        if scheme in {"file", "local"} and not rest.startswith("/"):
            raise ValueError("write an absolute path (/etc/app/webhook.env), or a URL such as s3://bucket/key")
        if ".." in rest.split("/"):
            raise ValueError("a path has no '..' in it")
        if path.endswith("/"):
            raise ValueError("name a file or an object, not a folder")
        if scheme not in {"file", "local"}:
            if "@" in urlsplit(path).netloc:
                raise ValueError("name the connection in conn_id, not in the path")
            if not urlsplit(path).netloc or not rest.partition("/")[2]:
                raise ValueError("name the bucket and the object: s3://bucket/key")
        return path

    @property
    def local_path(self) -> str | None:
        """The path on this machine; None for an object elsewhere."""
        scheme, separator, rest = self.path.partition("://")
        if not separator:
            return self.path
        return rest if scheme in {"file", "local"} else None

    def place(self, key: str | None) -> str:
        """The object's URL, with the connection as user and the key as fragment."""
        fragment = f"#{key}" if key else ""
        if self.local_path is not None:
            path = posixpath.normpath(self.local_path)  # which keeps two slashes at the start, and Linux does not
            return f"file:///{path.lstrip('/')}{fragment}"
        scheme, _, rest = self.path.partition("://")
        user = f"{self.conn_id}@" if self.conn_id else ""
        return f"{scheme}://{user}{rest}{fragment}"

    def arm(self) -> "ArmedObject":
        """Fetch the connection and build the file system; local files need neither.

        :raises StoreUnusable: no installed provider knows the URL's scheme, or its connection is of no use.
        """
        from featurebase_provider.stores.object_storage.armed import ArmedObject
        from featurebase_provider.stores.object_storage.chosen_backend import backend_of

        text = self.secret_text(missing="it does not exist", line_break=True)
        # Java's own encoding of .properties was ISO 8859-1; newer readers take UTF-8, too
        encodings = ("utf-8", "iso-8859-1") if self.format == "properties" else ("utf-8",)
        backend = backend_of(
            self.full_name, self.path, local_path=self.local_path, mode=self.mode, conn_id=self.conn_id
        )
        return ArmedObject(self.full_name, text, backend, encodings)
