"""A string key or a hash field in Redis, written by a script if it still is as it was read.

Imported by ``arm()`` only.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from redis import exceptions as redis  # noqa: TID253  this module is the store's client

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.shared.refusals import changed_since, no_such_key, not_there
from featurebase_provider.stores.shared.text import bare_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.stores.shared.text import SecretText

# Optional values travel as "+value" or "-". KEYS and, three by three, ARGV: field, what was held, what is wanted.
_HELD = """
local function optional(text) return string.sub(text, 1, 1) == '+' and string.sub(text, 2) end
local function held(key, field)
  if field then return redis.call('HGET', key, field) end
  return redis.call('GET', key)
end
"""
_READ = f"""{_HELD}
local found = {{redis.call('EXISTS', KEYS[1])}}
for i, key in ipairs(KEYS) do found[i + 1] = held(key, optional(ARGV[i])) end
return found
"""
# A script has no rollback: PUBLISH goes first (it reaches subscribers when the script is done), and if the previous
# secret can't be put, the current one is put back.
_WRITE = f"""{_HELD}
local channel, message, exists = optional(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local function place(i)
  return KEYS[i], optional(ARGV[3 * i + 1]), optional(ARGV[3 * i + 2]), optional(ARGV[3 * i + 3])
end
local function put(key, field, value)
  if value and field then return redis.pcall('HSET', key, field, value) end
  if value then return redis.pcall('SET', key, value, 'KEEPTTL') end
  if field then return redis.pcall('HDEL', key, field) end
  return redis.pcall('DEL', key)
end
if redis.call('EXISTS', KEYS[1]) ~= exists then return 0 end
for i = 1, #KEYS do
  local key, field, expected = place(i)
  if held(key, field) ~= expected then return 0 end
end
if channel then redis.call('PUBLISH', channel, message) end
for i = 1, #KEYS do
  local key, field, expected, wanted = place(i)
  local answer = put(key, field, wanted)
  if type(answer) == 'table' and answer.err then
    local key, field, expected = place(1)
    if i > 1 then put(key, field, expected) end
    return answer
  end
end
return 1
"""
# With "#!lua" Redis 7 refuses a script at once where writes would fail: on a replica, without memory or disk.
_CAN_WRITE = "#!lua\nreturn 1"

_PASSING = (
    redis.BusyLoadingError,
    redis.ClusterDownError,
    redis.ConnectionError,
    redis.OutOfMemoryError,
    redis.TimeoutError,
    redis.TryAgainError,
    OSError,
)
_PASSING_CODES = {"BUSY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "TIMEOUT", "OOM", "LOADING"}


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """Where a secret lies: a string key, or a field of a hash."""

    key: str
    field: str | None


@dataclass(frozen=True, slots=True)
class _Values:
    """What was there: whether the first key exists, and each place's bytes."""

    exists: bool
    values: tuple[bytes | None, ...]


class ArmedRedis(ArmedStore):
    """One or two places in Redis, which a script reads and writes in one step.

    :param client: redis-py's, with timeouts (its types mix in those of its asynchronous twin).
    :param places: where the current and, if it has a place of its own, the previous secret lie.
    :param text: how the first place holds the secret.
    :param create: whether a missing key may be created, or a missing field added.
    :param channel: where the new fingerprint is published.
    """

    def __init__(
        self,
        name: str,
        client: Any,
        places: tuple[RedisPlace, ...],
        text: SecretText,
        *,
        create: bool,
        channel: str | None,
    ) -> None:
        super().__init__(name)
        self._client, self._places, self._text = client, places, text
        self._create, self._channel = create, channel

    def connect(self) -> None:
        """Open the connection and log in.

        :raises StoreRefused: Redis refuses the login or the database's number.
        :raises StoreUnreachable: Redis did not answer.
        """
        with self._translated():
            try:
                self._client.execute_command("PING")
            except redis.NoPermissionError:
                return  # logged in, and PING is not needed

    def prove_writable(self) -> Writability:
        """Ask Redis whether our user may run the commands, and whether it takes writes; both need Redis 7."""
        held = self.read()
        keeps_previous = len(self._places) > 1 or self._text.keeps_previous
        for pair in self.trials(held, keeps_previous=keeps_previous):
            self._wanted(pair, held.version)
        with self._translated():
            warning = "; ".join((*self._ends(), *self._server_loses()))
            try:
                user = self._client.execute_command("ACL", "WHOAMI")
                denied = [command[0] for command in self._commands() if not self._may(user, command)]
            except redis.NoPermissionError:
                said = "it can be read; its user may not ask what it may write (ACL DRYRUN)"
                return Writability(False, said, warning)
            except redis.ResponseError:
                said = "it can be read; before version 7 Redis does not tell what a user may do"
                return Writability(False, said, warning)
            if not denied:
                self._eval(_CAN_WRITE, [place.key for place in self._places])
                said = "Redis confirmed the user's rights (ACL DRYRUN), and that it takes writes"
                return Writability(True, f"{said}, in database {self._database}", warning)
        raise StoreRefused(
            self.name,
            f"its user may not run {', '.join(sorted(set(denied)))} on these keys; nothing was changed",
            "Grant it with ACL SETUSER",
        )

    def read(self) -> StoredValue:
        """Read all places at one moment."""
        held = self._look()
        text, *beside = (self._decoded(value) for value in held.values)
        stored = self._text.stored(text, exists=text is not None, version=held)
        if not beside:
            return stored
        return replace(stored, previous=bare_secret(self.name, beside[0], "the previous secret's place"))

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Run the script that compares, publishes and writes; what is there already is not written again."""
        before: _Values = held.version
        wanted = self._wanted(pair, before)
        if wanted == before.values:
            return
        # A pair's run leaves the live secret in its place, and puts the new one beside it.
        fresh = pair.previous if pair.previous and pair.current == held.current else pair.current
        arguments = [_optional(self._channel), fresh.fingerprint, int(before.exists)]
        for place, value, new in zip(self._places, before.values, wanted, strict=True):
            arguments += [_optional(place.field), _optional(value), _optional(new)]
        with self._translated():
            done = self._eval(_WRITE, [place.key for place in self._places], *arguments)
        if not done:
            raise changed_since(self.name, "the key")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _wanted(self, pair: SecretPair, before: _Values) -> tuple[bytes | None, ...]:
        """What each place shall hold."""
        self._check_create(before)
        text = self._decoded(before.values[0])
        previous = pair.previous.reveal().encode() if pair.previous else None
        return (self._text.edited(text, pair, exists=text is not None).encode(), previous)[: len(self._places)]

    def _look(self) -> _Values:
        with self._translated():
            exists, *values = self._eval(
                _READ, [place.key for place in self._places], *(_optional(place.field) for place in self._places)
            )
        return _Values(bool(exists), tuple(values))

    def _eval(self, script: str, keys: list[str], *arguments: Any) -> Any:
        return self._client.eval(script, len(keys), *keys, *arguments)

    @property
    def _database(self) -> int:
        return int(self._client.connection_pool.connection_kwargs.get("db") or 0)

    def _asked(self, *command: str) -> Any:
        """The answer to what only a warning hangs on; None if the user may not ask, or the server knows no answer."""
        try:
            return self._client.execute_command(*command)
        except redis.ResponseError:
            return None

    def _ends(self) -> Iterator[str]:
        """Which of our keys expire, and when."""
        for key in dict.fromkeys(place.key for place in self._places):
            left = self._asked("PTTL", key)
            if left is not None and left >= 0:
                end = datetime.now(timezone.utc) + timedelta(milliseconds=left)
                at = end.isoformat(timespec="seconds")
                yield f"the key {key} expires at {at}, which a write does not change (PERSIST does)"

    def _server_loses(self) -> Iterator[str]:
        """Why the server itself may drop what is written.

        :raises StoreRefused: it is a replica.
        """
        info = self._asked("INFO") or {}
        if info.get("role") == "slave":
            raise self._replica()
        policy = str(info.get("maxmemory_policy", ""))
        if policy.startswith("allkeys") and info.get("maxmemory"):
            yield f"the server drops keys when its memory is full, this one too (maxmemory-policy {policy})"

    def _replica(self) -> StoreRefused:
        return StoreRefused(
            self.name,
            "it is on a replica, which takes its values from a primary; nothing was changed",
            "Let the connection lead to the primary",
        )

    def _commands(self) -> Iterator[tuple[str, ...]]:
        """What the scripts run, for ``ACL DRYRUN``."""
        yield ("EXISTS", self._places[0].key)
        for key, field in ((place.key, place.field) for place in self._places):
            if field:
                yield from (("HGET", key, field), ("HSET", key, field, self.trial.reveal()))
            else:
                yield from (("GET", key), ("SET", key, self.trial.reveal(), "KEEPTTL"))
        for key, field in ((place.key, place.field) for place in self._places[1:]):
            yield ("HDEL", key, field) if field else ("DEL", key)
        if self._channel:
            yield ("PUBLISH", self._channel, self.trial.fingerprint)

    def _may(self, user: bytes, command: tuple[str, ...]) -> bool:
        return bool(self._client.execute_command("ACL", "DRYRUN", user, *command) == b"OK")

    def _check_create(self, held: _Values) -> None:
        if self._create:
            return
        if not held.exists:
            raise not_there(self.name, "the key does not exist", "Set it")
        key, field = self._places[0].key, self._places[0].field
        if field is not None and held.values[0] is None:
            raise no_such_key(self.name, field, self._fields(key), where="the hash")

    def _fields(self, key: str) -> list[str] | None:
        """The hash's fields, if the user may list them."""
        try:
            with self._translated():
                return [field.decode(errors="replace") for field in self._client.execute_command("HKEYS", key)]
        except StoreRefused:
            return None

    def _decoded(self, value: bytes | None) -> str | None:
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:  # it carries the bytes
            raise StoreRefused(self.name, "it is not UTF-8 text; nothing was changed") from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise self._error(error) from None  # a server's text may quote what it was sent

    def _error(self, error: Exception) -> StoreError:
        code = re.match(r"[A-Z]{2,20}\b", str(error))
        said = code.group() if code else error.__class__.__name__
        login = isinstance(error, (redis.AuthenticationError, redis.AuthorizationError))
        if isinstance(error, redis.ReadOnlyError):
            return self._replica()
        if not login and (isinstance(error, _PASSING) or said in _PASSING_CODES):
            return StoreUnreachable(
                self.name, f"Redis did not answer, or can't now ({said}); whether a write arrived is unknown until read"
            )
        return StoreRefused(
            self.name,
            f"Redis refused {'the login' if login else 'it'} ({said}); the secret there is as it was",
            "Check the connection, the type of the key, and what the user may do (ACL GETUSER)",
        )


def _optional(value: str | bytes | None) -> bytes:
    if value is None:
        return b"-"
    return b"+" + (value if isinstance(value, bytes) else value.encode())
