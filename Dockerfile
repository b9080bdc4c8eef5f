# The image of every service: `sweep` with exactly the packages of constraints.txt.
#
#   docker build --tag pv-sweep .                          PyTorch for NVIDIA GPUs, as on PyPI
#   docker build --tag pv-sweep --build-arg TORCH=cpu .    PyTorch without CUDA, of pytorch.org
#
# Every file that is installed has a hash in constraints*.txt, wherever it comes from.
#
# It has no HEALTHCHECK: the same image runs workers, the dashboard and short commands, so whoever
# starts one knows what its health is (docker-compose.yml, deploy/kubernetes).
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS build
ARG TORCH=cuda
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_DEPS=1
WORKDIR /build
COPY constraints.txt constraints-cuda.txt constraints-cpu.txt ./
# What is largest first and alone: its layer stays when the other packages change, all of them when
# the sources do.
RUN python -m venv --without-pip /opt/sweep \
    && if [ "${TORCH}" = cpu ]; then \
        export PIP_FIND_LINKS=https://download.pytorch.org/whl/cpu/torch/; fi \
    && python -m pip --python /opt/sweep/bin/python install --require-hashes \
        -r "constraints-${TORCH}.txt"
RUN python -m pip --python /opt/sweep/bin/python install --require-hashes -r constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY storage storage
COPY sweep sweep
RUN python -m pip --python /opt/sweep/bin/python install --no-build-isolation .

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
