# Backend, worker and command line in one image; docker-compose.yml chooses what runs.
FROM python:3.11-slim AS build
WORKDIR /app
COPY constraints/app.txt constraints/app.txt
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir "$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' constraints/app.txt)" \
    && /venv/bin/uv --no-config pip install --no-cache --python /venv/bin/python --require-hashes -r constraints/app.txt \
    # The GUI build of OpenCV needs libGL; the headless one of the same version owns the files from here on.
    && /venv/bin/pip install --no-cache-dir --no-deps --force-reinstall opencv-python-headless==4.12.0.88
COPY pyproject.toml README.md LICENSE ./
COPY mammo mammo
COPY backend backend
COPY worker worker
COPY training training
COPY cli cli
RUN /venv/bin/uv --no-config pip install --no-cache --python /venv/bin/python --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 mlsam && install -d -o mlsam -g mlsam /data
COPY --from=build /venv /venv
USER mlsam
ENV PATH=/venv/bin:$PATH YOLO_MLSAM_DATA_DIR=/data YOLO_MLSAM_HOST=0.0.0.0
VOLUME /data
EXPOSE 9090
CMD ["yolo-mlsam", "serve"]
