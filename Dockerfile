# The one image: every agent, the console and the rehearsal. Builds with BuildKit and with the classic builder.
# Whatever is downloaded comes from an address that is a build argument; `docs/manual/how-to/containers.md` lists them.

# The digest is that of the tag's index (all platforms) of September 2026, Python 3.12.14. Empty: the tag as it is now.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm
ARG PYTHON_DIGEST=@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254


# ── what runs beside Python ────────────────────────────────────────────────────────────────────────────────────────
FROM ${PYTHON_IMAGE}${PYTHON_DIGEST} AS base
ARG DEBIAN_MIRROR=http://deb.debian.org/debian
ARG DEBIAN_SECURITY_MIRROR=http://deb.debian.org/debian-security
RUN set -eu; . /etc/os-release; \
    rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*; \
    { echo "deb $DEBIAN_MIRROR $VERSION_CODENAME main"; \
      echo "deb $DEBIAN_MIRROR $VERSION_CODENAME-updates main"; \
      echo "deb $DEBIAN_SECURITY_MIRROR $VERSION_CODENAME-security main"; } >/etc/apt/sources.list; \
    apt-get update; \
    apt-get upgrade --yes; \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        bubblewrap ca-certificates curl git iproute2 nftables openssh-client tini tinyproxy-bin; \
    rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc/* /usr/share/man/*


# ── single programs, each held to its published checksum ───────────────────────────────────────────────────────────
FROM base AS tools
ARG TERRAFORM_URL=https://releases.hashicorp.com/terraform
ARG TERRAFORM_VERSION=1.11.4
ARG TERRAFORM_SHA256_AMD64=1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc
ARG TERRAFORM_SHA256_ARM64=a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633
ARG KUBECTL_URL=https://dl.k8s.io/release
ARG KUBECTL_VERSION=1.34.0
ARG KUBECTL_SHA256_AMD64=cfda68cba5848bc3b6c6135ae2f20ba2c78de20059f68789c090166d6abc3e2c
ARG KUBECTL_SHA256_ARM64=00b182d103a8a73da7a4d11e7526d0543dcf352f06cc63a1fde25ce9243f49a0
COPY deploy/docker/fetch /usr/local/bin/fetch
RUN set -eu; \
    case $(dpkg --print-architecture) in \
        amd64) cpu=amd64 terraform=$TERRAFORM_SHA256_AMD64 kubectl=$KUBECTL_SHA256_AMD64;; \
        arm64) cpu=arm64 terraform=$TERRAFORM_SHA256_ARM64 kubectl=$KUBECTL_SHA256_ARM64;; \
        *) echo "no checksums for $(dpkg --print-architecture): add them to the Dockerfile" >&2; exit 1;; \
    esac; \
    mkdir /out; cd /out; \
    fetch "$KUBECTL_URL/v$KUBECTL_VERSION/bin/linux/$cpu/kubectl" "$kubectl" kubectl; \
    fetch "$TERRAFORM_URL/$TERRAFORM_VERSION/terraform_${TERRAFORM_VERSION}_linux_$cpu.zip" "$terraform" /tmp/zip; \
    python3 -m zipfile -e /tmp/zip /tmp/terraform; \
    mv /tmp/terraform/terraform .; \
    chmod 755 kubectl terraform


# ── the locked Python packages: built again only when the lock changes ─────────────────────────────────────────────
FROM base AS packages
ARG PYTHON_INDEX=https://pypi.org/simple
ARG UV_VERSION=0.13.9
ENV UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1 UV_LINK_MODE=copy UV_SYSTEM_CERTS=1
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --index-url "$PYTHON_INDEX" "uv==$UV_VERSION"
WORKDIR /build
COPY pyproject.toml uv.lock ./
# by way of a list of hashes, because the lock names the public index and a mirror has other addresses
RUN set -eu; \
    /opt/uv/bin/uv export --quiet --frozen --no-dev --no-emit-project --output-file locked.txt; \
    /opt/uv/bin/uv venv --quiet --python "$(command -v python3)" /opt/venv; \
    /opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python --default-index "$PYTHON_INDEX" \
        --require-hashes --only-binary :all: --no-binary ansible-runner --no-binary python-terraform --no-deps \
        --compile-bytecode --requirements locked.txt; \
    find /opt/venv -type d \( -name tests -o -name test \) -path '*/site-packages/*' -not -path '*/ansible/*' \
        -prune -exec rm -rf {} +; \
    rm -rf /opt/venv/lib/python3*/site-packages/ansible_test


# ── the image ──────────────────────────────────────────────────────────────────────────────────────────────────────
FROM base
ARG UID=1000
ARG GID=1000
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="MiniLab" \
      org.opencontainers.image.description="A chat room in which a team of LLM agents does real infrastructure work" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# folders that volumes cover: a new volume takes their owner
RUN set -eu; \
    groupadd --gid "$GID" minilab; \
    useradd --uid "$UID" --gid "$GID" --no-create-home --home-dir /tmp --shell /usr/sbin/nologin minilab; \
    mkdir -p /app/.minilab/hosts /app/generated_iac/infra /app/generated_iac/config /app/docs /app/tmp /app/client/logs; \
    chown -R "$UID:$GID" /app; \
    ln -s generated_iac/infra generated_iac/config /app/ # the names that commands of the team go by
COPY --from=tools /out/ /usr/local/bin/
COPY --from=packages /opt/venv /opt/venv
COPY deploy/docker/minilab deploy/docker/model-gateway /usr/local/bin/
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    PYTHONPATH=/app PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp LANG=C.UTF-8 SANDBOX=container MINILAB_ROLE=Architect
WORKDIR /app
COPY . /app
RUN chmod -R a+rX,go-w /app/* && python -m compileall -q /app/agents /app/client /app/rehearsal && rm -rf /app/deploy
USER $UID:$GID
# MINILAB_ROLE: whose heartbeat counts; docker-compose.yml names each service's
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=4 \
    CMD ["sh", "-c", "exec python3 -I -S /app/agents/healthcheck.py \"$MINILAB_ROLE\""]
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "agents", "all"]
