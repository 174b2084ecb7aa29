"""What users import, Airflow's database names, and entry points point to stays where it is."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

import pytest

PUBLIC = {
    "operators.rotate": ["RotateWebhookSecretOperator"],
    "operators.preflight": ["PreflightRotationOperator"],
    "operators.push": ["PushWebhookSecretOperator"],
    "operators.distributed": ["SecretDistributedOperator"],
    "operators.probe": ["ProbeReceiverOperator"],
    "operators.settle": ["SettleWebhookOperator"],
    "operators.report": ["RotationReportOperator"],
    "operators.outcome": ["RotationOutcomeOperator"],
    "operators.pair_preflight": ["PreflightPairOperator"],
    "operators.pair_rotate": ["RotatePairOperator"],
    "operators.pair_push": ["PushPairOperator"],
    "operators.pair_probe": ["ProbePairOperator"],
    "operators.activate": ["ActivateStandbyOperator"],
    "operators.cut_over": ["CutOverOperator"],
    "operators.pair_report": ["PairReportOperator"],
    "operators.audit": ["AuditWebhooksOperator", "SelectHealsOperator", "AuditFindingsOperator"],
    "operators.choose": ["ChooseWebhooksOperator"],
    "operators.emergency": [
        "EmergencyPlanOperator",
        "EmergencyRotateOperator",
        "EmergencyPushOperator",
        "EmergencyProbeOperator",
    ],
    "operators.emergency_report": ["EmergencyReportOperator", "EmergencySummaryOperator"],
    "operators.links": ["FeaturebaseWebhookLink", "RotationReportLink"],
    "plugins.page": ["FeaturebasePlugin"],
    "hooks.featurebase": ["FeaturebaseHook"],
    "sensors.webhook_delivery_health": ["WebhookDeliveryHealthSensor"],
    "sensors.pair_delivery_health": ["PairDeliveryHealthSensor"],
    "triggers.webhook_delivery_health": ["WebhookDeliveryHealthTrigger"],
    "triggers.cut_over": ["CutOverTrigger"],
    "dag_factory": ["rotation_dags", "rotation_dag", "rotation_task_group", "audit_dag", "emergency_rotation_dag"],
    "config": [
        "AuditConfig",
        "ConfigError",
        "Fault",
        "OverlapConfig",
        "ProbeConfig",
        "RightEntries",
        "RotationConfig",
        "VerifyConfig",
        "WebhookConfig",
        "configured_path",
        "load_right_entries",
        "load_rotation_config",
    ],
    "config.schema": ["main", "rotation_schema"],
    "rotation.errors": [
        "RotationError",
        "StoreConflict",
        "StoreError",
        "StoreForeignValue",
        "StoreReadBackDiffers",
        "StoreRefused",
        "StoreUnreachable",
        "StoreUnusable",
    ],
    "rotation.store": ["ArmedStore", "SecretPair", "Store", "StoreMark", "StoredValue", "Writability"],
    "stores.base": ["StoreConfig", "secret_or_none"],
    "stores.airflow_variable": ["AirflowVariableStore"],
    "stores.aws_secrets_manager": ["AwsSecretsManagerStore"],
    "stores.aws_ssm": ["AwsSsmStore"],
    "stores.azure_key_vault": ["AzureKeyVaultStore"],
    "stores.gcp_secret_manager": ["GcpSecretManagerStore"],
    "stores.github_actions": ["GithubActionsStore"],
    "stores.hashicorp_vault": ["HashicorpVaultStore"],
    "stores.http": ["HttpStore"],
    "stores.kubernetes_secret": ["KubernetesSecretStore"],
    "stores.object_storage": ["ObjectStorageStore"],
    "stores.redis": ["RedisStore"],
    "stores.sql": ["SqlStore"],
    "cli.definition": ["get_featurebase_cli_commands"],
    "cli.console": ["main"],
    "sandbox.cli": ["main"],
    "get_provider_info": ["get_provider_info"],
}
"""By module below the package. What is not here may move."""


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_where_users_import_them(module: str) -> None:
    found = import_module(f"featurebase_provider.{module}")
    assert [name for name in PUBLIC[module] if not hasattr(found, name)] == []


def test_every_public_name_of_the_client_package_is_there() -> None:
    found = import_module("featurebase_provider.featurebase")
    assert [name for name in found.__all__ if not hasattr(found, name)] == []


@pytest.mark.parametrize(
    "path",
    [
        "featurebase_provider.triggers.webhook_delivery_health.WebhookDeliveryHealthTrigger",
        "featurebase_provider.triggers.cut_over.CutOverTrigger",
    ],
)
def test_a_trigger_that_waits_in_airflows_database_is_found_again(path: str) -> None:
    module, _, name = path.rpartition(".")
    trigger = getattr(import_module(module), name)
    assert f"{trigger.__module__}.{trigger.__qualname__}" == path


@pytest.mark.parametrize("script", ["featurebase", "featurebase-sandbox"])
def test_console_scripts_lead_to_a_function(script: str) -> None:
    (point,) = entry_points(group="console_scripts", name=script)
    assert callable(point.load())
