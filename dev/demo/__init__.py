"""The demo: a real Airflow rotates signing secrets of the sandbox Featurebase by both strategies, and compares them."""
