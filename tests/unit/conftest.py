"""Hypothesis judges what the code does, never how long a busy machine takes for it."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("however slow", deadline=None)
settings.load_profile("however slow")
