"""What a run is asked to do."""

from __future__ import annotations

from typing import Literal

Mode = Literal["rotate", "distribute", "dry_run", "revert", "emergency"]
MODES: tuple[Mode, ...] = ("rotate", "distribute", "dry_run")
"""The modes that a user can choose for a rotation Dag; ``emergency`` has its own Dag."""
PAIR_MODES: tuple[Mode, ...] = (*MODES, "revert")
"""The modes of a pair's Dag: only a pair has a way back."""
