"""Preflight's proofs: every store can be written, and the receiver accepts the current secret."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.operators.stores import resolve_stores
from featurebase_provider.rotation.check import PADDED, check_stores
from featurebase_provider.rotation.clock import Clock
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.errors import PlanRefused, StoresNotReady
from featurebase_provider.rotation.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.server_clock import ServerClock
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.operators.base import FeaturebaseOperator
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.store import Store

PROBE_SECONDS = 15.0


def prove_stores(
    task: FeaturebaseOperator,
    stores: Sequence[Store | Mapping[str, Any]],
    plan: RotationPlan,
    rule: WriteRule,
    secret: SigningSecret,
) -> list[str]:
    """Check the stores and return the fingerprints of this webhook's older secrets that they hold.

    :param task: the preflight task; its ``found`` keeps what was seen.
    :param secret: the secret that they should hold.
    :raises StoresNotReady: a store can't be written, and a retry may help.
    :raises PlanRefused: a store can't be written.
    """
    checks = check_stores(resolve_stores(stores), rule, current=secret.fingerprint, secret=secret)
    for check in checks:
        if check.holding == "padded":
            task.log.warning("Store %s: %s. It will be replaced by the exact secret", check.name, PADDED)
        if check.writability is not None:
            verdict = "writable" if check.writability.proven else "reachable, not provable"
            task.log.info("Store %s: %s (%s)", check.name, verdict, check.writability.detail)
            if check.writability.warning:
                task.log.warning("Store %s: %s", check.name, check.writability.warning)
    if task.found is not None:
        task.found = task.found.with_stores(checks)
        if task.found.behind_said is not None:
            task.log.warning("%s", task.found.behind_said)
    problems = [check.problem for check in checks if check.problem is not None]
    ours = [
        check.fingerprint
        for check in checks
        if check.ours and check.fingerprint and check.fingerprint != secret.fingerprint
    ]
    if not problems:
        return ours
    why = "; ".join(str(problem) for problem in problems)
    summary = f"{len(problems)} of {len(checks)} stores are not ready: {why}"
    if plan.mode == "distribute":
        task.log.warning("%s. The other stores are updated anyway", summary)
        return ours
    refusal = StoresNotReady if all(problem.retry_helps for problem in problems) else PlanRefused
    raise refusal(plan.webhook_id, f"{summary}. Nothing was changed; fix the stores, then clear this task")


def probe_receiver(
    task: FeaturebaseOperator, webhook: Webhook, clock: ServerClock, given: Mapping[str, Any] | None
) -> None:
    """Check that the receiver accepts the current secret.

    :param task: the preflight task; its ``found`` keeps what was seen.
    :param given: further arguments of :class:`~featurebase_provider.rotation.probe.Probe`.
    :raises ProbeFailed: it did not, or its answers do not decide.
    """
    options = {**(given or {}), "successes": 1, "steady": 0.0}
    probe = Probe(
        webhook,
        say=task.log.info,
        clock=Clock(wall=lambda: clock.now().timestamp()),
        **options,
    )
    probe = replace(probe, timeout=min(probe.timeout, PROBE_SECONDS))
    outcome = probe.run(secret_of(webhook))
    if task.found is not None:
        task.found = task.found.with_probe(outcome)
    if not outcome.passed:
        behind = task.found.behind_said if task.found is not None else None
        said = f"the probe with the current secret did not pass: {outcome.detail}. Nothing was changed"
        raise outcome.failure(webhook.id, f"{said}. {behind}" if behind else said)
    task.log.info("Probe with the current secret: %s", outcome.detail)
