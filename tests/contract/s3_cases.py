"""S3 through Airflow's Amazon provider and s3fs, against the real moto server with its access checks."""

from __future__ import annotations

import json
import socket
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest

from featurebase_provider.stores.object_storage import ObjectStorageStore
from tests.contract.store_case import HELD, Seen, StoreCase
from tests.servers.dead_servers import silent_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moto.server import ThreadedMotoServer


@cache
def moto_server() -> tuple[ThreadedMotoServer, str]:
    """One server for the whole test session, on a free port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return server, f"http://{host}:{port}"


def client_of(service: str) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=moto_server()[1],
        region_name="us-east-1",
        aws_access_key_id="root",
        aws_secret_access_key="root",
    )


class S3JsonCase(StoreCase):
    calls_to_readable = 1
    keeps_previous = True
    has_mark = True
    asks_airflow = True
    misspelt: ClassVar = {"key": "webhookSecret"}
    previous_as_current: ClassVar = {"key": "previous", "previous_key": None}

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.s3 = client_of("s3")
        self.bucket, self.key = f"app-{uuid4().hex}", "settings/webhook.json"
        self.s3.create_bucket(Bucket=self.bucket)
        self.conn_id = self.connection("root", "root")

    def connection(self, access_key: str, secret_key: str, endpoint: str | None = None) -> str:
        """Define an Airflow connection; one id each, as Airflow keeps its file systems by id."""
        conn_id = f"s3_{uuid4().hex}"
        extra = {
            "endpoint_url": endpoint or moto_server()[1],
            "region_name": "us-east-1",
            "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 2},
        }
        connection = {"conn_type": "aws", "login": access_key, "password": secret_key, "extra": extra}
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def close(self) -> None:
        self.patch.undo()

    def config(self, **changes: Any) -> ObjectStorageStore:
        return ObjectStorageStore(**{"path": f"s3://{self.bucket}/{self.key}", "conn_id": self.conn_id, **changes})

    def put(self, current: str, previous: str | None = None) -> None:
        document = {"a": 1, "current": current} | ({"previous": previous} if previous else {})
        self.s3.put_object(
            Bucket=self.bucket,
            Key=self.key,
            Body=json.dumps(document).encode(),
            ContentType="application/json",
            CacheControl="no-store",
            Metadata={"owner": "feedback-team"},
            Tagging="cost=low",
        )

    def remove(self) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=self.key)

    def _get(self) -> Any:
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=self.key)
        except self.s3.exceptions.NoSuchKey:
            return None

    def seen(self) -> Seen | None:
        answer = self._get()
        if answer is None:
            return None
        document = json.loads(answer["Body"].read())
        others: dict[str, Any] = {key: document[key] for key in document.keys() - {"current", "previous"}}
        if others:
            others["headers"] = answer["ContentType"], answer["CacheControl"], answer["Metadata"].get("owner")
            others["tags"] = self.s3.get_object_tagging(Bucket=self.bucket, Key=self.key)["TagSet"]
        return Seen(document.get("current"), document.get("previous"), others or None)

    def evidence(self) -> Any:
        objects = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [(item["Key"], item["ETag"], item["LastModified"]) for item in objects], uploads

    def put_wrong_type(self) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=self.key, Body=json.dumps({"current": 7, "x": HELD}).encode())

    def missing_place(self) -> ObjectStorageStore:
        return self.config(path=f"s3://missing-{uuid4().hex}/webhook.json", create=True)

    @contextmanager
    def allowed(self, *actions: str) -> Iterator[ObjectStorageStore]:
        """A time in which the server checks access, and the connection's user may do only this."""
        import requests

        allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [allow]}
        iam, user = client_of("iam"), f"reader-{uuid4().hex}"
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        conn_id = self.connection(key["AccessKeyId"], key["SecretAccessKey"])
        url = f"{moto_server()[1]}/moto-api/reset-auth"
        requests.post(url, data="0", timeout=60).raise_for_status()
        try:
            yield self.config(conn_id=conn_id)
        finally:
            requests.post(url, data="inf", timeout=60).raise_for_status()

    def writing_denied(self) -> AbstractContextManager[ObjectStorageStore]:
        return self.allowed("s3:GetObject", "s3:GetObjectTagging", "s3:ListBucket")

    @contextmanager
    def server_down(self) -> Iterator[ObjectStorageStore]:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        yield self.config(conn_id=self.connection("root", "root", f"http://127.0.0.1:{port}"))

    @contextmanager
    def dead(self) -> Iterator[tuple[ObjectStorageStore, Callable[[], None]]]:
        with silent_server() as server:
            conn_id = self.connection("root", "root", f"http://127.0.0.1:{server.port}")
            yield self.config(conn_id=conn_id, timeout=300), server.wait
