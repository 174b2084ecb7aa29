"""Chooses the webhooks of an emergency run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from featurebase_provider import operators, rotation
from featurebase_provider.config.fields import ALL_WEBHOOKS
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.base import task_errors, without_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class ChooseWebhooksOperator(BaseOperator):
    """Read the webhooks that the person chose; each gets its own branch.

    A name that is not in the rotation file is kept: its branch fails with a message and does not delay the others.

    :param known: names of the entries in the rotation file.
    :param file_error: what is wrong with the rotation file, or None.
    :returns: the names, in the order chosen, without repetitions.
    :raises AirflowFailException: no webhook was chosen, or the run's conf names none or has an unknown key.
    """

    def __init__(self, *, known: Sequence[str], file_error: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = known
        self.file_error = file_error

    @without_frames
    def execute(self, context: Context) -> list[str]:
        """Read the trigger form."""
        if self.file_error:
            self.log.error(
                "The rotation file has errors; webhooks with a valid entry are rotated anyway. %s", self.file_error
            )
        params = context["params"]
        goes_by = {"webhooks": params["webhooks"], "reason": params.get("reason")}
        with task_errors():
            operators.context.check_conf(context, "(chosen by the run)", goes_by, strict=True)
            if "webhooks" not in (context["dag_run"].conf or {}):
                raise rotation.errors.PlanRefused(
                    "(chosen by the run)",
                    "the run's conf names no webhooks; nothing was changed. Pass "
                    f'{{"webhooks": ["production"]}} for one webhook, or {{"webhooks": ["{ALL_WEBHOOKS}"]}} for all of '
                    f"them: {', '.join(self.known)}",
                )
            # Cleaned here, as each name becomes a map index, an XCom and a line in logs; a configured one stays.
            chosen = list(dict.fromkeys(map(one_line, params["webhooks"] or [])))
            if ALL_WEBHOOKS in chosen:
                chosen = list(dict.fromkeys([*self.known, *(name for name in chosen if name != ALL_WEBHOOKS)]))
            if not chosen:
                raise rotation.errors.EmergencyNotDone((), 0)
        unknown = [name for name in chosen if name not in self.known]
        if unknown:
            self.log.error(
                "Not in the rotation file: %s. Known: %s. The other chosen webhooks are rotated anyway",
                ", ".join(unknown),
                ", ".join(self.known),
            )
        self.log.warning("Emergency rotation of %s webhooks: %s", len(chosen), ", ".join(chosen))
        return chosen
