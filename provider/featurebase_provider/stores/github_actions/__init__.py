"""The store type ``github_actions``: a secret of GitHub Actions."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import math
import re
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.shared.connection import check_encrypted, hook_errors

if TYPE_CHECKING:
    from featurebase_provider.stores.github_actions.armed import ArmedGithubSecret

_LOGIN = "[A-Za-z0-9][A-Za-z0-9_-]*"
Repository = Annotated[str, Field(pattern=rf"^{_LOGIN}/[.]*[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
_WHOLE_FILE = re.compile(r"(^|_)(ENV_?FILE|DOT_?ENV|JSON|YA?ML|PROPERTIES)$|^ENV$")
"""How people name a secret that holds a whole file, such as ``echo "${{ secrets.ENV_FILE }}" > .env`` writes."""
Organization = Annotated[str, Field(pattern=rf"^{_LOGIN}$")]


class GithubActionsStore(StoreConfig):
    """The signing secret as a GitHub Actions secret of a repository, an environment or an organisation.

    GitHub never shows a secret's value: what it holds can't be compared, so each push writes it again, and the
    configuration has to say ``adopt: true``.

    :param conn_id: Airflow connection to GitHub.
    :param repository: the repository, as ``owner/name``; this or ``organization``.
    :param environment: the repository's environment that has the secret; without it, the repository itself has.
    :param organization: the organisation that has the secret.
    :param name: the secret's name; GitHub makes it upper case.
    :param create: whether a missing secret is created.
    :param visibility: who may use an organisation's secret that is created: ``private`` repositories, or ``all``. That
        of an existing one stays as it is.
    """

    type: Literal["github_actions"] = "github_actions"
    adopt: bool = Field(default=False, validate_default=True)
    conn_id: Annotated[str, Field(min_length=1)] = "github_default"
    repository: Repository | None = Field(default=None, examples=["acme/feedback"])
    environment: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    organization: Organization | None = Field(default=None, examples=["acme"])
    name: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=255, examples=["FEATUREBASE_WEBHOOK_SECRET"])
    ] = "FEATUREBASE_WEBHOOK_SECRET"
    create: bool = False
    visibility: Literal["private", "all"] | None = None

    @field_validator("adopt")
    @classmethod
    def _check_adopt(cls, adopt: bool) -> bool:
        if not adopt:
            raise ValueError(
                "GitHub never shows a secret's value, so nobody can tell whose is replaced: say adopt: true if this "
                "one may be"
            )
        return adopt

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name.upper().startswith("GITHUB_"):
            raise ValueError("GitHub reserves names that start with GITHUB_")
        if _WHOLE_FILE.search(name.upper()):
            raise ValueError(
                f"{name.upper()} is the name of a whole file. GitHub never shows what a secret holds, so one line of "
                "it can't be edited, and all of it would be replaced by the bare signing secret. Name a secret of its "
                "own, and let the workflow append it to the file"
            )
        return name.upper()

    @model_validator(mode="after")
    def _check_place(self) -> "GithubActionsStore":
        if (self.repository is None) == (self.organization is None):
            raise ValueError("name either a repository or an organization")
        if self.environment in {".", ".."}:
            raise ValueError("an environment has a name, not dots only")
        if self.environment and not self.repository:
            raise ValueError("an environment belongs to a repository; name that, not an organization")
        if (self.visibility is not None) != bool(self.organization and self.create):
            raise ValueError("visibility belongs to an organization's secret with create: true, and is needed there")
        return self

    @property
    def path(self) -> str:
        """The path of the API's ``secrets`` under which the secret lies."""
        if self.organization:
            return f"/orgs/{self.organization}/actions/secrets"
        if self.environment:
            return f"/repos/{self.repository}/environments/{quote(self.environment, safe='')}/secrets"
        return f"/repos/{self.repository}/actions/secrets"

    @property
    def target(self) -> str:
        """Connection, owner and secret; GitHub's names are not case-sensitive."""
        place = self.path.lower().removesuffix("/secrets").removesuffix("/actions").strip("/")
        return f"github://{self.conn_id}@{place}#{self.name}"

    @property
    def readable(self) -> bool:
        """GitHub never shows a secret's value."""
        return False

    def arm(self) -> "ArmedGithubSecret":
        """Fetch the connection and build the client; it connects with the first read.

        :raises StoreUnusable: Airflow's GitHub provider is missing, or the connection is of no use.
        """
        with hook_errors(self.full_name, conn_id=self.conn_id, extra=self.type):
            from airflow.providers.github.hooks.github import GithubHook
            from github import Github

            from featurebase_provider.stores.github_actions.armed import ArmedGithubSecret

            hooked = GithubHook(github_conn_id=self.conn_id).get_conn().requester
            check_encrypted(self.full_name, hooked.base_url, advice="Give the connection's host an https URL")
            # The hook's own client waits a second between writes, and minutes when it retries.
            client = Github(
                auth=hooked.auth,
                base_url=hooked.base_url,
                timeout=math.ceil(self.timeout),
                retry=0,
                seconds_between_requests=0,
                seconds_between_writes=0,
            )
        return ArmedGithubSecret(
            self.full_name,
            client,
            path=self.path,
            secret=self.name,
            create=self.create,
            visibility=self.visibility,
            shared=self.organization is not None,
        )
