# Airflow with this provider and its Dags: docker build --tag airflow-featurebase .
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.12

FROM ${AIRFLOW_IMAGE} AS build
WORKDIR /tmp/source
COPY --chown=airflow:0 pyproject.toml constraints.txt README.md LICENSE ./
COPY --chown=airflow:0 provider ./provider
# Pinning the build tools as well makes the same source give the same wheel.
RUN PIP_CONSTRAINT=constraints.txt pip wheel --no-cache-dir --no-deps --wheel-dir /tmp/wheel .

FROM ${AIRFLOW_IMAGE}
# The image's own constraints keep every package at the version that this Airflow was released with.
RUN --mount=type=bind,from=build,source=/tmp/wheel,target=/tmp/wheel \
    wheel="$(ls /tmp/wheel/*.whl)" \
    && pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" "${wheel}[object_storage,hashicorp_vault]" \
        --constraint "${HOME}/constraints.txt" \
    && pip check \
    # A named volume takes the owner of the folder that it covers.
    && mkdir -p /opt/airflow/shared /opt/airflow/sandbox
COPY --chown=airflow:0 provider/featurebase_provider/dags/*.py /opt/airflow/dags/
USER airflow
