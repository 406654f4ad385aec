# syntax=docker/dockerfile:1
# CPU:  docker build -t videoswin .
# CUDA: docker build -t videoswin:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
# Run:  docker run --rm -v videoswin:/cache -v "$PWD:/data" videoswin predict clip.mp4
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/videoswin
ENV PATH=/opt/videoswin/bin:$PATH
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY configs configs
COPY videoswin_cli videoswin_cli
# torch first, from its own index: PyPI's build for Linux brings 5 GB of CUDA with it.
RUN grep '^torch==' constraints.txt > torch.txt \
    && pip install --index-url "${TORCH_INDEX}" --extra-index-url https://pypi.org/simple -r torch.txt \
    && pip install -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/videoswin /opt/videoswin
ENV PATH=/opt/videoswin/bin:$PATH VIDEOSWIN_HOME=/cache
RUN useradd --create-home --uid 1000 videoswin \
    && install --directory --mode=1777 --owner=videoswin /cache /data
USER 1000
VOLUME /cache
WORKDIR /data
ENTRYPOINT ["videoswin"]
CMD ["--help"]
