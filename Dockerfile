# syntax=docker/dockerfile:1
#
# The images of gatelens. `docker build .` builds the last stage; `--target` selects another:
#
#   service   the ingest with its page (default); contains the filter at /usr/share/gatelens/plugin.wasm
#   gateway   the official Envoy image with the filter in it, as Wasm and as a dynamic module
#   demo      the API of a demo shop, and traffic to it
#
# packaging/oci/Dockerfile builds the image from which Istio and Envoy Gateway load the filter.

FROM node:22-bookworm-slim AS page
WORKDIR /src/dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY dashboard ./
RUN npm run --silent build

FROM rust:1.95-slim-bookworm AS build
RUN rustup target add wasm32-wasip1
WORKDIR /src
COPY . .
COPY --from=page /src/dashboard/dist dashboard/dist
# The caches outlive a build and are not part of the image, so the results are copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p gatelens-cli --bin gatelens -p gatelens-demo --bin gatelens-demo \
    && scripts/wasm.sh gatelens /out/plugin.wasm 2000000 \
    && scripts/native.sh \
    && cp target/release/gatelens target/release/gatelens-demo target/release/libgatelens.so /out/

# The tag is the version of Envoy that the tests use: see envoy/requirements.txt.
FROM envoyproxy/envoy:v1.40.0 AS gateway
COPY --from=build /out/plugin.wasm /usr/share/gatelens/plugin.wasm
COPY --from=build /out/libgatelens.so /usr/share/gatelens/libgatelens.so
ENV ENVOY_DYNAMIC_MODULES_SEARCH_PATH=/usr/share/gatelens

FROM debian:12-slim AS demo
COPY --from=build /out/gatelens-demo /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["gatelens-demo"]

FROM debian:12-slim AS service
COPY --from=build /out/gatelens /usr/local/bin/
COPY --from=build /out/plugin.wasm /usr/share/gatelens/
# A volume that is created here belongs to the user that writes to it.
RUN install -d -o 65532 -g 65532 /var/lib/gatelens
USER 65532:65532
VOLUME /var/lib/gatelens
EXPOSE 4318
# The check uses bash, so that the image needs no HTTP client.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/4318 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["gatelens"]
CMD ["serve", "--listen", "0.0.0.0:4318", "--data", "/var/lib/gatelens"]
