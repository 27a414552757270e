# docker build -t crossfade .
# docker run -p 6432:6432 -v crossfade:/var/lib/crossfade crossfade --primary postgres://… --shadow postgres://…

FROM rust:1-slim-bookworm AS build
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends clang libclang-dev gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY benches benches
COPY README.md ./
RUN cargo build --locked --release --bin crossfade

FROM debian:bookworm-slim
RUN useradd --system --home-dir /var/lib/crossfade --create-home --shell /usr/sbin/nologin crossfade
COPY --from=build /build/target/release/crossfade /usr/local/bin/crossfade
USER crossfade
# The journal is kept in the working directory: mount a volume here.
WORKDIR /var/lib/crossfade
VOLUME /var/lib/crossfade
# Inside a container the loopback interface reaches nobody. The admin address stays on it until a token file is given.
ENV CROSSFADE_LISTEN__ADDRESS=0.0.0.0:6432
EXPOSE 6432
ENTRYPOINT ["crossfade", "run"]
