"""The webhook topics that Featurebase documents (webhook reference, 2026-01-01.nova)."""

from __future__ import annotations

_BY_SUBJECT = {
    "post": ("created", "updated", "deleted", "voted"),
    "ticket": ("created", "updated", "deleted"),
    "changelog": ("published",),
    "comment": ("created", "updated", "deleted"),
    "conversation": (
        "user.created",
        "user.replied",
        "admin.replied",
        "admin.closed",
        "handover_requested",
        "admin.assigned",
        "admin.noted",
        "admin.snoozed",
        "admin.unsnoozed",
        "admin.opened",
        "priority.updated",
        "deleted",
        "contact.attached",
        "contact.detached",
        "read",
    ),
    "conversation_part": ("redacted",),
    "audit_log": ("created",),
}

KNOWN_TOPICS = frozenset(f"{subject}.{event}" for subject, events in _BY_SUBJECT.items() for event in events)
