"""The floor: what a task can do at best that knows nothing but the calls. It proves, masks and reads back nothing."""

from __future__ import annotations

from airflow.sdk import DAG, task

from dev.bench.exposure.places import Place, places_of


@task(task_id="floor")
def floor(place: dict[str, str]) -> dict[str, dict[str, float]]:
    """Refresh twice: with one call for each store, and with the least calls that do what a store should."""
    from dev.bench.exposure.floor import Floor

    with Floor(Place(**place)) as warm:  # type: ignore[arg-type]
        one_call = warm.rotate(least=False)
        warm.pause()
        return {"one_call": one_call, "least": warm.rotate(least=True)}


for place in places_of("floor"):
    with DAG(place.dag_id, schedule=None, max_active_runs=1) as dag:
        floor(vars(place))
    globals()[dag.dag_id] = dag
