"""How long receivers are without the new secret, in a real Airflow, beside the least possible and the usual Dag."""
