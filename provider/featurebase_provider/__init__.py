"""Apache Airflow provider that rotates Featurebase webhook signing secrets safely."""

__version__ = "0.1.0"
