"""The provider's metadata for Airflow (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Featurebase"
_OPERATORS = (
    "preflight",
    "approve",
    "rotate",
    "push",
    "distributed",
    "probe",
    "settle",
    "report",
    "outcome",
    "pair_preflight",
    "pair_rotate",
    "pair_push",
    "pair_probe",
    "activate",
    "cut_over",
    "pair_report",
    "audit",
    "choose",
    "emergency",
    "emergency_report",
)


def get_provider_info() -> dict[str, Any]:
    """Describe the provider. It imports nothing, since every Airflow process calls it.

    The result follows Airflow's ``provider_info.schema.json``. Airflow 3.2 and newer read ``conn-fields`` and
    ``ui-field-behaviour``; on 3.1 the hook's form methods return the same fields. Airflow 3.1 does not read ``cli``
    either; there the console script ``featurebase`` has the same commands.
    """
    return {
        "package-name": "airflow-provider-featurebase",
        "name": "Featurebase",
        "description": "Rotates `Featurebase <https://www.featurebase.app/>`__ webhook signing secrets.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.featurebase.app/",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("featurebase_provider.hooks.featurebase"),
        "operators": _modules(*(f"featurebase_provider.operators.{name}" for name in _OPERATORS)),
        "sensors": _modules(
            "featurebase_provider.sensors.webhook_delivery_health", "featurebase_provider.sensors.pair_delivery_health"
        ),
        "triggers": _modules(
            "featurebase_provider.triggers.webhook_delivery_health", "featurebase_provider.triggers.cut_over"
        ),
        "extra-links": [
            "featurebase_provider.operators.links.FeaturebaseWebhookLink",
            "featurebase_provider.operators.links.RotationReportLink",
        ],
        "cli": ["featurebase_provider.cli.definition.get_featurebase_cli_commands"],
        "connection-types": [
            {
                "connection-type": "featurebase",
                "hook-class-name": "featurebase_provider.hooks.featurebase.FeaturebaseHook",
                "hook-name": "Featurebase",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "port", "extra"],
                    "relabeling": {"host": "Base URL", "password": "API key"},
                    "placeholders": {"host": "https://do.featurebase.app", "password": "sk_..."},
                },
                "conn-fields": _connection_fields(),
            }
        ],
        "config": {
            "featurebase": {
                "description": "Rotation of Featurebase webhook signing secrets.",
                "options": {
                    "rotation_config": {
                        "description": "Absolute path of the YAML file that lists the webhooks to rotate and their "
                        "stores. The Dag processor and every worker read it.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/opt/airflow/config/featurebase.yaml",
                        "default": None,
                    }
                },
            }
        },
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _INTEGRATION, "python-modules": list(names)}]


def _connection_fields() -> dict[str, Any]:
    return {
        "api_version": {
            "label": "API version",
            "description": "Sent as Featurebase-Version; webhooks need 2026-01-01.nova or newer.",
            "schema": {"type": ["string", "null"], "default": "2026-01-01.nova"},
        },
        "timeout": {
            "label": "Timeout (seconds)",
            "description": "Seconds to wait for a response of the Featurebase API.",
            "schema": {"type": ["number", "null"], "default": 10, "minimum": 1, "maximum": 300},
        },
        "max_retries": {
            "label": "Retries of a read",
            "description": "How many times a failed read is retried; a refresh of the secret is never retried.",
            "schema": {"type": ["integer", "null"], "default": 4, "minimum": 0, "maximum": 10},
        },
    }
