"""The assets of this provider: other Dags can be scheduled on them, and their events are the audit trail."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias

ASSET_PREFIX = "featurebase://webhooks"
EVENTS = AssetAlias(name="featurebase://events", group="featurebase")
"""The alias through which tasks emit the events of this provider's assets.

Airflow does not start a task if one of its outlets has the name or the URI of somebody else's asset; that would stop a
rotation after its refresh. Also, the outlets of a mapped task are the same for all its branches."""


def plan_asset(name: str) -> Asset:
    """The asset whose events kept the plans of version 0.1.0; read where a webhook has no history record yet."""
    return _asset(name, "plan")


def secret_asset(name: str) -> Asset:
    """The asset whose events announce a webhook's new signing secret, for Dags that restart its readers."""
    return _asset(name, "signing-secret")


def report_asset(name: str) -> Asset:
    """The asset whose events are the audit trail of a webhook's rotations."""
    return _asset(name, "rotation-report")


def _asset(name: str, what: str) -> Asset:
    return featurebase_asset(f"{ASSET_PREFIX}/{name}/{what}")


def featurebase_asset(uri: str) -> Asset:
    """An asset with a ``featurebase://`` URI."""
    asset = Asset(name=uri, uri=f"x-{uri}", group="featurebase")
    # Any scheme but file and x-... makes Airflow load the asset handlers of all installed providers, boto3 with the
    # amazon one's, each time a Dag file is parsed. Ours needs no handler, so it is put in afterwards.
    object.__setattr__(asset, "uri", uri)
    return asset
