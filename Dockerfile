# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        pkg-config \
        libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev \
        libclang1-14 libclang-common-14-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches are mounts, so the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked \
    && install target/release/stream-manager /usr/local/bin/stream-manager

FROM debian:bookworm-slim
# The fonts serve texts for which a scene brings no font of its own: most scripts, emoji, Chinese, Japanese and Korean.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libavcodec59 libavformat59 libavutil57 libswscale6 libswresample4 \
        libfontconfig1 fonts-noto-core fonts-noto-color-emoji fonts-noto-cjk \
        ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin stream \
    && install --directory --owner=stream --group=stream /data
COPY --from=build /usr/local/bin/stream-manager /usr/local/bin/stream-manager
# Scenes are written over the API, too.
COPY --chown=stream:stream scenes /app/scenes

# A container is reached through its published ports alone, never through its own loopback, so the servers listen on every
# address of it. That needs API_TOKEN, which has no default: who starts the container gives it.
ENV BIND=0.0.0.0 \
    DATA_DIR=/data
WORKDIR /app
USER 10001
VOLUME /data
EXPOSE 1935 4200 4201 4290 4291
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "http://127.0.0.1:4291/health"]
ENTRYPOINT ["stream-manager"]
CMD ["run", "scenes/demo.json"]
