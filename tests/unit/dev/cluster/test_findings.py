"""A secret in the cluster's broker is found."""

from __future__ import annotations

import json
from base64 import b64encode
from uuid import uuid4

from dev.cluster.findings import scan_broker
from tests.leaks.scanner import LeakScanner
from tests.servers import redis_server

SECRET = "whsec_0123456789abcdef0123456789abcdef0123456789abcdef"


def test_a_secret_in_a_message_of_the_broker_is_found() -> None:
    """As Celery puts messages there: a queue that nobody has read, and what a worker has taken."""
    body = b64encode(json.dumps([["execute_workload" * 9, SECRET], {}, {"callbacks": None}]).encode()).decode()
    message = json.dumps({"body": body, "content-encoding": "utf-8", "properties": {"body_encoding": "base64"}})
    queue, taken = (f"{name}_{uuid4().hex}" for name in ("queue", "unacked"))
    scanner = LeakScanner({"secret": SECRET})
    with redis_server.admin(db=0) as client:
        client.config_set("rdbcompression", "yes")  # Redis' default
        client.lpush(queue, message)
        client.hset(taken, "tag", message)
        try:
            scan_broker(scanner, client)
        finally:
            client.delete(queue, taken)
    assert {leak.place.rpartition("_")[0] for leak in scanner.leaks} == {"queue", "unacked"}
