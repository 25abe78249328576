# The reconciler's image: no root, no compiler, nothing but Python and the package.
#
#   docker build -t reconciler .
#   docker build -t reconciler --build-arg BASE=debian-with-python3 .
#
# Where wheelhouse/ was filled (scripts/wheelhouse), it installs from there and asks no
# index; else the builder stage lets pip fetch what is needed.

ARG BASE=python:3.13-slim

FROM ${BASE} AS builder
COPY . /build
WORKDIR /build
RUN set -e; \
    python3 -m venv --without-pip /opt/reconciler; \
    if [ -d wheelhouse ]; then \
        /opt/reconciler/bin/python "$(echo wheelhouse/pip-*.whl)/pip" install \
            --no-cache-dir --no-index --find-links wheelhouse reconciler; \
    else \
        python3 -m pip --python /opt/reconciler/bin/python install --no-cache-dir .; \
    fi

FROM ${BASE}
COPY --from=builder /opt/reconciler /opt/reconciler
# In full, because a base made by `docker import` has no PATH to extend.
ENV PATH=/opt/reconciler/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="reconciler" \
      org.opencontainers.image.description="Maps live Docker containers onto pre-allocated HAProxy server slots" \
      org.opencontainers.image.licenses="MIT"
# A number, so that a platform that forbids root can see that this is not root.
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9700/healthz', timeout=2)"]
ENTRYPOINT ["reconciler"]
CMD ["run"]
