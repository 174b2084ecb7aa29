"""Which webhooks an emergency is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from featurebase_provider.config.fields import ALL_WEBHOOKS
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.base import task_errors
from featurebase_provider.operators.context import check_conf
from featurebase_provider.rotation.emergency_summary import EmergencyNotDone
from featurebase_provider.rotation.errors import PlanRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class ChooseWebhooksOperator(BaseOperator):
    """Take the webhooks that the person chose, one branch each.

    A name that is not in the rotation file stays in: its branch fails by itself, says so, and holds up no other.

    :param known: names of the entries in the rotation file.
    :param file_error: what is wrong with the rotation file.
    :returns: the names, in the order chosen, none twice.
    :raises AirflowFailException: none was chosen, the run's conf names none, or it holds what was not understood.
    """

    def __init__(self, *, known: Sequence[str], file_error: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = known
        self.file_error = file_error

    def execute(self, context: Context) -> list[str]:
        """Read the trigger form."""
        if self.file_error:
            self.log.error("The rotation file is wrong; the webhooks that it says right go ahead. %s", self.file_error)
        params = context["params"]
        goes_by = {"webhooks": params["webhooks"], "reason": params.get("reason")}
        with task_errors():
            check_conf(context, "(chosen by the run)", goes_by, strict=True)
            if "webhooks" not in (context["dag_run"].conf or {}):
                raise PlanRefused(
                    "(chosen by the run)",
                    'the run\'s conf names no webhooks, and nothing was changed. Give {"webhooks": ["production"]} for '
                    f'one, or {{"webhooks": ["{ALL_WEBHOOKS}"]}} for all: {", ".join(self.known)}',
                )
            # Cleaned here, as each name becomes a map index, an XCom and a line in logs; a configured one stays.
            chosen = list(dict.fromkeys(map(one_line, params["webhooks"] or [])))
            if ALL_WEBHOOKS in chosen:
                chosen = list(dict.fromkeys([*self.known, *(name for name in chosen if name != ALL_WEBHOOKS)]))
            if not chosen:
                raise EmergencyNotDone((), 0)
        unknown = [name for name in chosen if name not in self.known]
        if unknown:
            self.log.error(
                "Not in the rotation file: %s. Known: %s. The other chosen webhooks go ahead",
                ", ".join(unknown),
                ", ".join(self.known),
            )
        self.log.warning("Emergency rotation of %s webhooks: %s", len(chosen), ", ".join(chosen))
        return chosen
