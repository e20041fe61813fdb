# Image that runs `nike serve` on a CPU.
#
#   docker build -t nike-serve .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --tmpfs /tmp nike-serve
#
# A folder written by `nike export --format openvino` does not need TensorFlow:
#
#   docker build -t nike-serve --build-arg RUNTIME="openvino" .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --tmpfs /tmp -v ./model_openvino:/model:ro nike-serve --weights /model
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG RUNTIME="tensorflow-cpu>=2.21 keras>=3.15"
RUN python -m venv /opt/nike
# Packages that detection and the server import. imgaug and OpenCV, which training needs, require system libraries that the
# slim image lacks.
RUN /opt/nike/bin/pip install --no-cache-dir ${RUNTIME} \
    "numpy>=2.0" "scikit-image>=0.26" "matplotlib>=3.10" "h5py>=3.14" "pillow>=11.2" "pycocotools>=2.0.8" \
    "tqdm>=4.66" "pyyaml>=6" \
    "fastapi>=0.115" "fastapi-offline>=1.7" "uvicorn>=0.34" "python-multipart>=0.0.18" "prometheus-client>=0.21" \
    "setuptools>=77"
COPY . /src
RUN /opt/nike/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src

FROM python:${PYTHON}-slim
COPY --from=build /opt/nike /opt/nike
ENV PATH=/opt/nike/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["nike", "serve", "--host", "0.0.0.0"]
