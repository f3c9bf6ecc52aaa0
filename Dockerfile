# One image definition, two targets: `backend` serves Label Studio, `worker` trains. docker-compose.yml builds both.
#   docker build --target worker --build-arg ACCELERATOR=cuda .
# `cuda` takes every wheel from the lock, hashes checked; `cpu` takes torch's CPU wheels instead, which are 4 GB smaller and
# have other hashes: their versions are the lock's, their origin is torch's own index.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG ACCELERATOR=cuda
WORKDIR /app
COPY constraints/app.txt constraints/app.txt
COPY deploy/without_cuda.awk deploy/without_cuda.awk
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir "$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' constraints/app.txt)" \
    && if [ "$ACCELERATOR" = cpu ]; then \
         awk -f deploy/without_cuda.awk constraints/app.txt > /tmp/cpu.txt \
         && /venv/bin/uv --no-config pip install --no-cache --python /venv/bin/python --require-hashes --no-deps -r /tmp/cpu.txt \
         && sed -n 's/^\(torch\(vision\)\{0,1\}==[^ ;]*\).*/\1/p' constraints/app.txt > /tmp/torch.txt \
         && /venv/bin/uv --no-config pip install --no-cache --python /venv/bin/python --torch-backend cpu --no-deps -r /tmp/torch.txt ; \
       else \
         /venv/bin/uv --no-config pip install --no-cache --python /venv/bin/python --require-hashes -r constraints/app.txt ; \
       fi \
    # The GUI build of OpenCV needs libGL; the headless one of the same version owns the files from here on.
    && /venv/bin/pip install --no-cache-dir --no-deps --force-reinstall opencv-python-headless==4.12.0.88
COPY pyproject.toml README.md LICENSE ./
COPY mammo mammo
COPY backend backend
COPY worker worker
COPY training training
COPY cli cli
RUN /venv/bin/uv --no-config pip install --no-cache --python /venv/bin/python --no-deps --no-build-isolation .

FROM python:${PYTHON}-slim AS base
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
