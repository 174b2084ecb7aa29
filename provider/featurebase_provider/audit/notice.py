"""What the team is told of an audit: its findings, and secrets that reach ``max_age`` soon. Holds no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.audit.findings import ADVICE
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.notice import Notice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from featurebase_provider.audit.findings import Finding
    from featurebase_provider.audit.row import AuditedWebhook

MOST_LINES = 30


def notice_of_findings(findings: Sequence[Finding]) -> Notice | None:
    """The notice about findings, by kind; None if there are none."""
    if not findings:
        return None
    lines = [one_line(f"{one.kind}: {one.where}: {one.detail}", 600) for one in findings[:MOST_LINES]]
    if len(findings) > MOST_LINES:
        lines.append(f"... and {len(findings) - MOST_LINES} more")
    kinds = dict.fromkeys(finding.kind for finding in findings)
    lines += [f"What to do about {kind}: {ADVICE[kind]}" for kind in kinds if kind in ADVICE]
    count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    return Notice("finding", f"Audit of webhook signing secrets: {count}", "\n".join(lines))


def notice_of_due(webhooks: Sequence[AuditedWebhook], before: timedelta) -> Notice | None:
    """The notice about secrets that reach ``max_age`` within this time; None if there are none.

    Secrets that are older already are findings.
    """
    limit = before.total_seconds() / 86_400
    lines = [
        f"Webhook {name}: its secret reaches max_age in {left:.1f} days. Trigger its Dag with mode=rotate, unless its "
        "schedule comes first."
        for name, left in ((webhook.name, webhook.aged.days_left) for webhook in webhooks)
        if left is not None and 0 < left <= limit
    ]
    if not lines:
        return None
    count = "1 secret reaches" if len(lines) == 1 else f"{len(lines)} secrets reach"
    return Notice("due", f"{count} max_age soon", "\n".join(lines))
