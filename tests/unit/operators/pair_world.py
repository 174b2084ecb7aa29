"""A pair of webhooks behind the hook, and a receiver that accepts some secrets, both in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from featurebase_provider.hooks.featurebase import FeaturebaseHook
from featurebase_provider.operators import memory as operators_memory
from featurebase_provider.rotation.memory import plan_key
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.unit.operators.conftest import HOST
from tests.world.fake_pair import FakePair
from tests.world.pair_states import A, B
from tests.world.running_task import RunningTask

KEY = plan_key("a_dag", "preflight")


class PairBehindTheHook(FakePair):
    """Every connection leads to this pair; its records are those that tasks read and write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.accepts = {A, B}
        """The halves whose secrets the receiver accepts."""
        self.probed: list[str] = []
        """The halves for which an event with the right signature came, in order."""
        monkeypatch.setattr(FeaturebaseHook, "get_conn", lambda hook: self.client())
        monkeypatch.setattr(operators_memory, "VariableMemory", lambda webhook_id: self.kept)
        monkeypatch.setattr(operators_memory, "asset_event_extras", lambda asset, newest: ())

    @contextmanager
    def client(self) -> Iterator[Any]:
        yield SimpleNamespace(
            get_webhook=self.get_webhook,
            update_webhook=self.update_webhook,
            refresh_secret=lambda webhook_id: self.halves[webhook_id].refresh_secret(webhook_id),
            audit_log=lambda *args, **how: self.halves[A].audit_log(*args, **how),
            list_webhooks=lambda: [half.current for half in self.halves.values()],
            clock=SimpleNamespace(now=self.now, skew=None),
            settings=SimpleNamespace(base_url=HOST),
        )

    def kept_plan(self, **facts: Any) -> RotationPlan:
        """A plan that preflight has recorded."""
        return self.records().memory.keep_plan(KEY, self.plan(**facts))

    def task(self, kind: Any, plan: RotationPlan | None = None, results: Any = None, **arguments: Any) -> RunningTask:
        """One of the tasks of a run with this plan, whose rotate task has refreshed what the plan said."""
        done = {}
        if plan is not None:
            half = self.halves[plan.webhook_id].current
            outcome = RotationOutcome(plan, "answered", str(half.fingerprint), refreshes=1)
            done = {"preflight": plan.as_json(), "rotate": json.loads(json.dumps(outcome.as_json()))}
        usual: dict[str, Any] = {"webhook": "production", "webhook_ids": (A, B), "featurebase_conn_id": "fb_of_mine"}
        if plan is not None:
            usual["plan_task_id"] = "preflight"
        given = {**usual, **arguments}
        if given["webhook_ids"] is None:  # a task of a single webhook
            del given["webhook_ids"]
        operator = kind(task_id=kind.__name__, **given)
        return RunningTask(operator, results={**done, **(results or {})})

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the receiver says to an event."""
        body, at = request.read(), int(request.headers[TIMESTAMP_HEADER])
        signed = request.headers[SIGNATURE_HEADER]
        by = [name for name, half in self.halves.items() if signed == sign(half.secret, at, body)]
        self.probed += by
        return httpx.Response(204 if self.accepts & set(by) else 401)

    @property
    def probe_options(self) -> dict[str, Any]:
        """How probes reach the receiver."""
        transport = httpx.MockTransport(self.answer)
        reach = {"transport": transport, "resolve": lambda host, port: ["203.0.113.7"]}
        return {**reach, "timeout": 0.0, "steady": 0.0, "successes": 1}
