# The proxy in a minimal image, as a user without rights; and the control API (`--target control`).
#
#   docker build -t outrigger .
#   docker run --rm -p 8080:8080 -v "$PWD/config/examples:/etc/outrigger:ro" outrigger run -c /etc/outrigger/gateway.yaml

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# The C library of the builder is the one of the image below: both are Debian 12.
RUN cargo build --release --locked \
    && strip --strip-debug target/release/outrigger target/release/outrigger-control

# With what `outrigger intercept` calls, for init containers (deploy/sidecar.yaml):
#
#   docker build --target rules -t outrigger-rules .
FROM debian:bookworm-slim AS rules
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nftables iproute2 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/release/outrigger /usr/local/bin/outrigger
COPY --from=build /source/LICENSE /usr/share/doc/outrigger/LICENSE
ENTRYPOINT ["/usr/local/bin/outrigger"]

# Its settings are mounted at /etc/outrigger/control.yaml; they say `0.0.0.0` where nodes and people are to reach it.
#
#   docker build --target control -t outrigger-control .
FROM debian:bookworm-slim AS control
RUN useradd --system --uid 65532 --user-group --no-create-home --shell /usr/sbin/nologin outrigger
COPY --from=build /source/target/release/outrigger-control /usr/local/bin/outrigger-control
COPY --from=build /source/LICENSE /usr/share/doc/outrigger/LICENSE
USER 65532:65532
EXPOSE 18000 18001
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/outrigger-control"]
CMD ["serve", "--config", "/etc/outrigger/control.yaml"]

FROM debian:bookworm-slim
RUN useradd --system --uid 65532 --user-group --no-create-home --shell /usr/sbin/nologin outrigger
COPY --from=build /source/target/release/outrigger /usr/local/bin/outrigger
COPY --from=build /source/LICENSE /usr/share/doc/outrigger/LICENSE
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/outrigger"]
CMD ["run", "-c", "/etc/outrigger/outrigger.yaml"]
