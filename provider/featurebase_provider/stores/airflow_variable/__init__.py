"""The store type ``airflow_variable``: for receivers and Dags that read their settings from Airflow."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from featurebase_provider.late import LateModule
from featurebase_provider.stores.shared.format_names import FormatName
from featurebase_provider.stores.shared.formatted import DEFAULT_KEY, DEFAULT_PREVIOUS_KEY, FormattedStore
from featurebase_provider.stores.shared.keyed import Key

if TYPE_CHECKING:
    from featurebase_provider.rotation import errors
    from featurebase_provider.stores.airflow_variable.armed import ArmedVariable
else:  # only arming raises them
    errors = LateModule("featurebase_provider.rotation.errors")


class AirflowVariableStore(FormattedStore):
    """The signing secret as the value of an Airflow Variable, or under a key of its value.

    A Variable cannot be written conditionally: it is read again just before, and a writer in that instant is
    overwritten. Airflow masks a Variable in logs by its name only (``secret``, ``token``, ...): choose such a
    name if other Dags read it.

    :param name: the Variable's key.
    :param format: ``raw`` (nothing but the secret), ``json``, ``dotenv``, ``yaml`` or ``properties``.
    :param key: where the secret lies in JSON (``current``) or dotenv (``FEATUREBASE_WEBHOOK_SECRET``).
    :param previous_key: where the previous secret lies; ``previous`` in JSON unless set to null.
    :param create: whether a missing key is added to a Variable that is there; a missing Variable always is created.
    :param description: the Variable's description. Airflow lets a task neither read a description nor write a
        value without one, so each write sets this text; left out, it names the webhook and the fingerprint.
    :param allow_unencrypted: write although this worker's ``[core] fernet_key`` is empty. It is the API
        server that encrypts, with a key of its own that no task can see: say so where only workers have none.
    """

    type: Literal["airflow_variable"] = "airflow_variable"
    name: Annotated[str, Field(min_length=1, max_length=250)]
    format: FormatName = "raw"
    key: Key | None = Field(default_factory=lambda fields: DEFAULT_KEY.get(fields["format"]))
    previous_key: Key | None = Field(default_factory=lambda fields: DEFAULT_PREVIOUS_KEY.get(fields["format"]))
    create: bool = False
    description: Annotated[str, Field(max_length=5000)] | None = None
    allow_unencrypted: bool = False

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        # Airflow's client puts the key into a URL as it is, where these would lead elsewhere.
        if re.search(r"[\x00-\x20\x7f?#%\\]", name) or {"", ".", ".."} & set(name.split("/")) or name == "keys":
            raise ValueError("Airflow's task interface cannot name such a Variable; use letters, digits, _ - . /")
        return name

    def place(self, key: str | None) -> str:
        """The Variable's key, with the key as fragment."""
        return f"airflow-variable:{self.name}" + (f"#{key}" if key else "")

    def arm(self) -> "ArmedVariable":
        """Make sure that what is written is stored encrypted, and is what Dags will read.

        :raises StoreUnusable: outside a task; or the Fernet key is empty; or Airflow would log the value.
        :raises StoreRefused: the worker's environment or a secrets backend shadows the Variable.
        :raises StoreUnreachable: a secrets backend could not be asked.
        """
        from featurebase_provider.stores.shared.airflow_channel import require_task

        require_task(self.full_name)
        self._check_encryption()
        self._check_debug_log()
        self._check_shadows()
        from featurebase_provider.stores.airflow_variable.armed import ArmedVariable

        return ArmedVariable(self.full_name, self.name, self.secret_text(missing=None), self.description)

    def _check_encryption(self) -> None:
        from airflow.configuration import conf

        if not self.allow_unencrypted and not conf.get("core", "fernet_key", fallback=""):
            raise errors.StoreUnusable(
                self.full_name,
                "[core] fernet_key is empty here, so Airflow may store it as plain text; nothing was changed",
                "Set a Fernet key; if the API server has one and only this worker lacks it, or plain text is "
                "acceptable, write allow_unencrypted: true",
            )

    def _check_debug_log(self) -> None:
        """At DEBUG, Airflow's supervisor writes each Variable that a task sets into its own log, before any masking."""
        from featurebase_provider.stores.shared.airflow_channel import supervisor_logs_values

        if supervisor_logs_values():
            raise errors.StoreUnusable(
                self.full_name,
                "Airflow's logger supervisor is at the level DEBUG, at which it writes a Variable's value into the "
                "worker's log; nothing was changed",
                'Set [logging] namespace_levels to "supervisor=INFO" (Airflow 3.2 and newer; without blanks around =), '
                "or logging_level to INFO",
            )

    def _check_shadows(self) -> None:
        from airflow.sdk.execution_time.secrets.execution_api import ExecutionAPISecretsBackend
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

        for backend in ensure_secrets_backend_loaded():
            if isinstance(backend, ExecutionAPISecretsBackend):
                continue
            asked = type(backend).__name__
            try:
                shadowed = backend.get_variable(key=self.name) is not None
            except Exception as error:  # noqa: BLE001  each backend fails in its own way
                raise errors.StoreUnreachable(
                    self.full_name,
                    f"the secrets backend {asked} could not be asked whether it has this Variable "
                    f"({error.__class__.__name__}); nothing was changed",
                ) from None  # the text may quote what the backend holds
            if shadowed:
                raise errors.StoreRefused(
                    self.full_name,
                    f"{asked} has a Variable of this name, which hides the one that would be written",
                    "Remove it there, or configure the store that it comes from; nothing was changed",
                )
