# The image of every service: `sweep` with exactly the packages of constraints.txt.
#
#   docker build --tag pv-sweep .                            PyTorch for NVIDIA GPUs, as on PyPI
#   docker build --tag pv-sweep --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
#
# It has no HEALTHCHECK: the same image runs workers, the dashboard and short commands, so whoever
# starts one knows what its health is (docker-compose.yml, deploy/kubernetes).
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS build
ARG TORCH_INDEX=https://pypi.org/simple
WORKDIR /build
COPY constraints.txt ./
RUN python -m venv --without-pip /opt/sweep \
    && python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt setuptools
# PyTorch first and alone: by far the largest layer stays when the sources change.
RUN python -m pip --python /opt/sweep/bin/python install --no-cache-dir --disable-pip-version-check \
    --extra-index-url "${TORCH_INDEX}" -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY storage storage
COPY sweep sweep
RUN python -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation \
    --wheel-dir dist . \
    && python -m pip --python /opt/sweep/bin/python install --no-cache-dir \
    --disable-pip-version-check -c constraints.txt "pv-sweep[export] @ file://$(ls -d "$PWD"/dist/*.whl)"

FROM ${BASE}
LABEL org.opencontainers.image.title="pv-sweep" \
      org.opencontainers.image.description="Hyperparameter sweeps for vertex finders" \
      org.opencontainers.image.licenses="MIT"
# The folders are everybody's, because volumes take their mode over and the user may be chosen
# when a container is started.
RUN groupadd --gid 10001 sweep \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --no-log-init sweep \
    && install --directory --mode 1777 /artifacts /cache /cache/tmp
COPY --from=build /opt/sweep /opt/sweep
ENV PATH=/opt/sweep/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    USER=sweep \
    NUMBA_CACHE_DIR=/cache/numba \
    SWEEP_ARTIFACTS=/artifacts \
    SWEEP_CACHE=/cache
WORKDIR /artifacts
USER 10001:10001
CMD ["sweep", "--help"]
