"""The demo: a real Airflow rotates a webhook signing secret of the sandbox Featurebase, and shows what happened."""
