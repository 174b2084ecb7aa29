"""The store type ``redis``: for receivers that read their settings from Redis or Valkey."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from featurebase_provider.rotation.errors import StoreUnusable
from featurebase_provider.stores.shared.connection import hook_errors, is_loopback
from featurebase_provider.stores.shared.entry import EntryStore

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from featurebase_provider.stores.redis.armed import ArmedRedis

Name = Annotated[str, Field(min_length=1, max_length=1024)]


class RedisStore(EntryStore):
    """The signing secret as a string key or as a field of a hash, or as an entry in the text that one holds.

    :param conn_id: Airflow connection of type ``redis``.
    :param key: the Redis key; with ``field``, the key of the hash.
    :param field: the hash field that holds the secret; null if the key itself does.
    :param previous_key: the Redis key that holds the previous secret, where ``key`` holds the current one.
    :param previous_field: the hash field that holds the previous secret.
    :param format: ``raw`` (nothing but the secret), or the format of the text that the key or field holds.
    :param entry: where the secret lies in that text.
    :param previous_entry: where the previous secret lies in that text.
    :param create: whether a missing key is created, and a missing field or entry added.
    :param channel: a channel on which the new fingerprint is published, in the same step as the write.
    :param allow_unencrypted: accept a connection to another host without TLS.
    """

    type: Literal["redis"] = "redis"
    conn_id: Annotated[str, Field(min_length=1, max_length=200)] = "redis_default"
    key: Name
    field: Name | None = None
    previous_key: Name | None = None
    previous_field: Name | None = None
    create: bool = False
    channel: Name | None = None
    allow_unencrypted: bool = False

    @model_validator(mode="after")
    def _check_names(self) -> "RedisStore":
        if self.field and self.previous_key:
            raise ValueError("with field, name the previous secret's field too (previous_field), not previous_key")
        if self.previous_field and not self.field:
            raise ValueError("previous_field needs field; a string key has a previous_key")
        if self.key == self.previous_key or (self.field and self.field == self.previous_field):
            raise ValueError("the previous secret needs a key or field of its own")
        if self.entry and (self.previous_key or self.previous_field):
            raise ValueError("with entry, the previous secret lies in the same text: name its previous_entry")
        return self

    @property
    def _place(self) -> str:
        return f"redis://{self.conn_id}/{self.key}" + (f"#{self.field}" if self.field else "")

    @property
    def target(self) -> str:
        """Connection and key, with field and entry as fragments."""
        return self.entry_in(self._place)

    @property
    def previous_target(self) -> str | None:
        """The same with the ``previous_key``, ``previous_field`` or ``previous_entry``, where one is set."""
        if self.previous_key:
            return f"redis://{self.conn_id}/{self.previous_key}"
        if self.previous_field:
            return f"redis://{self.conn_id}/{self.key}#{self.previous_field}"
        return self.previous_entry_in(self._place)

    @property
    def how_to_keep_previous(self) -> str:
        """Beside the secret: in the same text, in the same hash, or under a key of its own."""
        if self.entry:
            return "previous_entry"
        return "previous_field" if self.field else "previous_key"

    def arm(self) -> "ArmedRedis":
        """Fetch the connection and build the client; connecting logs in.

        :raises StoreUnusable: the connection or Airflow's Redis provider is missing, it asks for cluster mode or names
            two databases, or it has no TLS.
        """
        with hook_errors(self.full_name, conn_id=self.conn_id, extra="redis"):
            client = self._client()
            from featurebase_provider.stores.redis.armed import ArmedRedis, RedisPlace

            places = [RedisPlace(self.key, self.field)]
            if self.previous_key or self.previous_field:
                places.append(RedisPlace(self.previous_key or self.key, self.previous_field))
            text = self.entry_text(create=self.create)
            return ArmedRedis(self.full_name, client, tuple(places), text, create=self.create, channel=self.channel)

    def _client(self) -> Any:
        from airflow.providers.redis.hooks.redis import RedisHook
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        hook: Any = RedisHook(redis_conn_id=self.conn_id)
        connection = hook.get_connection(self.conn_id)
        if connection.extra_dejson.get("cluster"):
            raise StoreUnusable(
                self.full_name,
                f"the Airflow connection {self.conn_id} asks for cluster mode, which this store does not speak",
                "Use another type of store; nothing was changed",
            )
        self._check_database(connection)
        encrypted = connection.extra_dejson.get("ssl") or is_loopback(connection.host or "localhost")
        if not (encrypted or self.allow_unencrypted):
            raise StoreUnusable(
                self.full_name,
                "its connection to another host is not encrypted; nothing was sent",
                'Set {"ssl": true} in the connection\'s extra, or write allow_unencrypted: true',
            )
        client = hook.get_conn()
        # The hook passes no timeouts on; its client connects when it is first used.
        client.connection_pool.connection_kwargs.update(
            socket_timeout=self.timeout, socket_connect_timeout=self.timeout, retry=Retry(NoBackoff(), 0)
        )
        return client

    def _check_database(self, connection: "Connection") -> None:
        """Insist that the number in a URI's path, if there is one, is the database that Airflow's hook uses: ``db``."""
        named, used = str(connection.schema or "").strip("/"), str(connection.extra_dejson.get("db") or 0)
        if named.isdecimal() and int(named) != int(used if used.isdecimal() else -1):
            raise StoreUnusable(
                self.full_name,
                f"the URI (or schema) of the Airflow connection {self.conn_id} names database {int(named)}, and its "
                f"extra db, which Airflow's Redis hook goes by, means database {used}; nothing was changed",
                f"Set the extra db (in a URI: ?db={int(named)}) to the database that receivers read, and leave the "
                "schema empty or set it to the same",
            )
