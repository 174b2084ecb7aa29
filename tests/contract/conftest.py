from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.store_case import StoreCase

CASES = {
    "aws_secrets_manager_dotenv": "tests.contract.aws_cases:SecretsManagerDotenvCase",
    "aws_secrets_manager_json": "tests.contract.aws_cases:SecretsManagerJsonCase",
    "aws_secrets_manager_raw": "tests.contract.aws_cases:SecretsManagerRawCase",
    "aws_ssm_json": "tests.contract.aws_cases:SsmJsonCase",
    "aws_ssm_raw": "tests.contract.aws_cases:SsmRawCase",
    "azure_json": "tests.contract.azure_cases:AzureJsonCase",
    "azure_raw": "tests.contract.azure_cases:AzureRawCase",
    "azure_blob": "tests.contract.azure_blob_cases:AzureBlobCase",
    "gcp_json": "tests.contract.gcp_cases:GcpJsonCase",
    "gcp_raw": "tests.contract.gcp_cases:GcpRawCase",
    "gcs_json": "tests.contract.gcs_cases:GcsJsonCase",
    "github_environment": "tests.contract.github_actions_cases:GithubEnvironmentCase",
    "github_organization": "tests.contract.github_actions_cases:GithubOrganizationCase",
    "github_repository": "tests.contract.github_actions_cases:GithubRepositoryCase",
    "kubernetes_json": "tests.contract.kubernetes_secret_cases:KubernetesJsonCase",
    "kubernetes_secret": "tests.contract.kubernetes_secret_cases:KubernetesSecretCase",
    "http_consul": "tests.contract.http_cases:ConsulCase",
    "http_consul_dotenv": "tests.contract.http_cases:ConsulDotenvCase",
    "http_etcd": "tests.contract.http_cases:EtcdCase",
    "local_raw": "tests.contract.local_file_cases:LocalRawCase",
    "local_json": "tests.contract.local_file_cases:LocalJsonCase",
    "local_nested_json": "tests.contract.local_file_cases:LocalNestedJsonCase",
    "local_dotenv": "tests.contract.local_file_cases:LocalDotenvCase",
    "local_properties": "tests.contract.local_file_cases:LocalPropertiesCase",
    "local_yaml": "tests.contract.local_file_cases:LocalYamlCase",
    "memory_json": "tests.contract.memory_case:MemoryJsonCase",
    "redis_dotenv": "tests.contract.redis_cases:RedisDotenvCase",
    "redis_hash": "tests.contract.redis_cases:RedisHashCase",
    "redis_string": "tests.contract.redis_cases:RedisStringCase",
    "s3_json": "tests.contract.s3_cases:S3JsonCase",
    "sql_postgres": "tests.contract.sql_cases:PostgresCase",
    "sql_postgres_json": "tests.contract.sql_cases:PostgresJsonCase",
    "sql_postgres_statements": "tests.contract.sql_cases:PostgresStatementsCase",
    "sql_sqlite": "tests.contract.sql_cases:SqliteCase",
    "vault_kv1": "tests.contract.hashicorp_vault_cases:VaultKv1Case",
    "vault_kv1_nested": "tests.contract.hashicorp_vault_cases:VaultKv1NestedCase",
    "vault_kv2_json_text": "tests.contract.hashicorp_vault_cases:VaultKv2JsonTextCase",
    "vault_kv2_nested": "tests.contract.hashicorp_vault_cases:VaultKv2NestedCase",
    "vault_kv2": "tests.contract.hashicorp_vault_cases:VaultKv2Case",
    "variable_raw": "tests.contract.variable_cases:VariableRawCase",
    "variable_json": "tests.contract.variable_cases:VariableJsonCase",
}
"""Every store that has to conform; a new store adds a line and a case file."""

VARIANTS = {
    "aws_secrets_manager_dotenv", "aws_secrets_manager_raw", "aws_ssm_raw", "azure_blob", "azure_raw", "gcp_raw",
    "gcs_json", "github_environment", "github_organization", "http_consul_dotenv", "http_etcd", "kubernetes_json",
    "local_nested_json", "local_properties", "local_raw", "local_yaml", "memory_json", "redis_dotenv", "redis_string",
    "sql_postgres_json", "sql_postgres_statements", "sql_sqlite", "vault_kv1_nested", "vault_kv2_json_text",
    "vault_kv2_nested", "variable_raw",
}  # fmt: skip
"""Cases of a store type that has another case; and tests that take long: `make proofs` has them, `make test` not."""
LONG = {"test_corpus.py", "test_http_recipes.py", "test_sql_poolers.py", "test_sql_trials.py"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """FEATUREBASE_CONTRACT: ``short`` leaves variants and long tests out, ``rest`` has nothing else."""
    form = os.environ.get("FEATUREBASE_CONTRACT", "full")
    if form == "full":
        return
    left = [item for item in items if _is_of_the_rest(item) is not (form == "rest")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in set(left)]


def _is_of_the_rest(item: pytest.Item) -> bool:
    case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
    return item.path.name in LONG or case in VARIANTS


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Iterator[StoreCase]:
    module, _, name = CASES[request.param].partition(":")
    built: StoreCase = getattr(import_module(module), name)()
    yield built
    built.close()
