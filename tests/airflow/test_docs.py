"""The Dags that the pages show do what the pages say."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from featurebase_provider.hooks.featurebase import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

DOCS = Path(__file__).parents[2] / "docs"
SMTP = "from airflow.providers.smtp.notifications.smtp import SmtpNotifier\n"
NOTIFIER = """\
from airflow.sdk import BaseNotifier


class SmtpNotifier(BaseNotifier):
    template_fields = ("subject", "html_content")

    def __init__(self, *, subject, html_content, **_):
        super().__init__()
        self.subject, self.html_content = subject, html_content

    def notify(self, context):
        with open({path!r}, "a") as file:
            file.write(f"{{self.subject}} {{self.html_content}}\\n")

"""


def shown(page: str, words: str) -> str:
    """The page's Dag file that has these words."""
    (text,) = (
        text for text in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL) if words in text
    )
    return str(text)


def test_the_hook_in_taskflow_hands_on_everything_but_the_secret(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    airflow.connect(DEFAULT_CONN_ID, host=world.url, password=world.api_key)
    text = shown("operators.md", "exclude=")
    run = airflow.start(airflow.load_file("webhook_health", text)["webhook_health"])
    assert run.state == "success", run.errors
    (webhook,) = run.xcoms["read"]
    assert (webhook["id"], webhook["status"]) == (world.webhook_id, "active")
    assert not any(secret in str(run.xcoms) for secret in world.secrets.values())

    world.force(status="suspended")
    run = airflow.start(run.dag)
    assert "no delivery reaches Production" in run.error("complain")

    careless = text.replace(', exclude={"secret"}', "").replace("webhook_health", "careless_health")
    run = airflow.start(airflow.load_file("careless_health", careless)["careless_health"])
    assert "a signing secret must not be serialised" in run.error("read")


def test_the_rotate_operator_alone(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    airflow.connect(DEFAULT_CONN_ID, host=world.url, password=world.api_key)
    airflow.set_variable("featurebase_webhook_signing_secret", world.secret)
    text = shown("operators.md", "RotateWebhookSecretOperator(").replace("507f1f77bcf86cd799439011", world.webhook_id)
    run = airflow.start(airflow.load_file("rotate_now", text)["rotate_now"])
    assert (run.state, world.refreshes()) == ("success", 1), run.errors
    assert airflow.variable("featurebase_webhook_signing_secret").val == world.secret
    airflow.clear(run)
    assert world.refreshes() == 1


def test_a_notifier_tells_of_the_failed_task_and_why(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """Set on the tasks of the Dags that the package makes, as the page has it."""
    mails = tmp_path / "mails"
    text = shown("alerts.md", "SmtpNotifier(")
    assert SMTP in text
    text = text.replace(SMTP, NOTIFIER.format(path=str(mails)))
    text = text.replace("rotation_dags()", f"rotation_dag({world.entry()!r})").replace(
        "*rotation_dag(", "rotation_dag("
    )
    text = text.replace("import audit_dag, emergency_rotation_dag, rotation_dags", "import rotation_dag")
    text = text.replace(", audit_dag(), emergency_rotation_dag())", ",)")
    dag = airflow.load_file("with_mail", text)[f"featurebase_rotate__{world.name}"]
    world.secret_file.unlink()
    run = airflow.start(dag)
    assert run.states["preflight"] == "failed"
    # The second is outcome's; here, in one process, a notifier keeps the texts that it rendered first.
    mail, _ = mails.read_text().splitlines()
    assert f"{dag.dag_id}: preflight failed" in mail
    assert "stores are not ready" in mail
    assert run.states["outcome"] == "failed"

    report = shown("alerts.md", "triggering_asset_events")
    tell = airflow.load_file("after_a_rotation", report)["after_a_rotation"].task_dict["tell"]
    (event,) = airflow.asset_events(f"featurebase://webhooks/{world.name}/rotation-report")
    told = tell.python_callable(triggering_asset_events={"asset": [SimpleNamespace(extra=event)]})
    assert told == [f"{world.name}: nothing_changed. {run.report['advice']}"]
