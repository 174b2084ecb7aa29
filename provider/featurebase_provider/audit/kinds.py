"""The kinds of findings."""

from __future__ import annotations

from typing import Literal, get_args

FindingKind = Literal[
    "connection_unusable",
    "key_refused",
    "featurebase_unreachable",
    "webhook_missing",
    "webhook_twice",
    "webhook_unconfigured",
    "webhook_inactive",
    "delivery_failing",
    "secret_missing",
    "secret_overdue",
    "age_unknown",
    "rotated_elsewhere",
    "leaked_secret_current",
    "leaked_secret_held",
    "store_differs",
    "store_absent",
    "store_missing",
    "store_unfinished",
    "store_foreign",
    "store_unreachable",
    "previous_overdue",
    "previous_age_unknown",
    "previous_left_behind",
    "both_live",
    "none_live",
    "pair_differs",
    "drain_overdue",
    "history_unknown",
    "not_audited",
]
KINDS: tuple[str, ...] = get_args(FindingKind)
