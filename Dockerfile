# One image definition, two targets: `backend` serves Label Studio, `worker` trains. docker-compose.yml builds both.
#   docker build --target worker .
#   docker build --target worker --build-arg ACCELERATOR=cpu .
# Every package comes from a lock, its hash checked. `cuda` is torch as PyPI has it, which also runs without a GPU; `cpu` is
# torch's CPU build, 4 GB smaller. INDEX and TORCH_INDEX may be mirrors: hashes say what is right, not addresses.
# Image digests: as several public projects recorded them until 2026-12-01; not asked of a registry. `make pin` does.
ARG PYTHON_IMAGE=python:3.11.17-slim-trixie@sha256:45037981b62b34b44602584fccbc4d884d5f7dc92c7ee86bb38a698a79fe1e51

FROM ${PYTHON_IMAGE} AS build
ARG ACCELERATOR=cuda
ARG INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
COPY constraints constraints
RUN python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes --no-deps --index-url "$INDEX" -r constraints/build.txt
# Compiled here, because nothing can be written later.
ENV UV_INSTALL="/build/bin/uv --no-config pip install --python /venv/bin/python --no-cache --no-deps --compile-bytecode"
RUN python -m venv --without-pip /venv \
    && $UV_INSTALL --require-hashes --only-binary :all: --default-index "$INDEX" -r constraints/image.txt
RUN case "$ACCELERATOR" in cuda) index="$INDEX" ;; cpu) index="$TORCH_INDEX" ;; \
      *) echo "ACCELERATOR is cuda or cpu, not $ACCELERATOR" >&2; exit 1 ;; esac \
    && if [ ! -e "constraints/image-$ACCELERATOR.txt" ]; then \
         echo "constraints/image-$ACCELERATOR.txt is not there: run 'make lock-images' where $TORCH_INDEX, or a mirror that TORCH_INDEX names, is reached" >&2; \
         exit 1; \
       fi \
    && $UV_INSTALL --require-hashes --only-binary :all: --default-index "$index" -r "constraints/image-$ACCELERATOR.txt"
COPY pyproject.toml README.md LICENSE ./
COPY mammo mammo
COPY backend backend
COPY worker worker
COPY training training
COPY cli cli
RUN /build/bin/hatchling build -t wheel -d /dist && $UV_INSTALL --no-index /dist/*.whl

FROM ${PYTHON_IMAGE} AS base
# The number is fixed so that a volume's owner stays the same from release to release.
RUN useradd --create-home --uid 10001 mlsam && install -d -o mlsam -g mlsam -m 0700 /data
COPY --from=build /venv /venv
USER 10001
# The root file system may be read-only: all that is written lies in /data and /tmp.
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOME=/tmp YOLO_MLSAM_DATA_DIR=/data YOLO_MLSAM_HOST=0.0.0.0
VOLUME /data

FROM base AS backend
EXPOSE 9090
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9090/health', timeout=5)"]
CMD ["yolo-mlsam", "serve"]

FROM base AS worker
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s --retries=3 \
    CMD ["python", "-m", "worker.health"]
CMD ["yolo-mlsam", "work"]
