"""A cluster of Airflow's daemons on one machine, of which some are killed while it rotates; ``make cluster``."""
