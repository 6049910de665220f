"""The variables of docker-compose.yml that no process of ours reads: name → default, meaning. For `.env.template`."""

VARIABLES: dict[str, tuple[str, str]] = {
    "MINILAB_IMAGE": ("minilab:latest", "Name of the image that is built and run."),
    "MINILAB_UID": ("1000", "User id that containers run as. `./minilab compose` takes yours, and 1000 for root."),
    "MINILAB_GID": ("1000", "Their group id."),
    "REDIS_IMAGE": ("redis:7.4-bookworm", "Image of the room's Redis; add @sha256:… to pin it."),
    "REDIS_MAXMEMORY": ("384mb", "Memory Redis may fill; then agents wait and the log says so."),
    "REDIS_APPENDFSYNC": (
        "everysec",
        "When Redis makes writes durable: everysec, or always (slower, loses nothing).",
    ),
    "PYTHON_IMAGE": ("python:3.12-slim-bookworm", "Base image: Debian with Python 3.11 or newer."),
    "PYTHON_DIGEST": ("", "Digest of the base, as @sha256:…. Unset: the one in docker-compose.yml; empty: none."),
    "DEBIAN_MIRROR": ("http://deb.debian.org/debian", "Where the build takes Debian's packages from."),
    "DEBIAN_SECURITY_MIRROR": (
        "http://deb.debian.org/debian-security",
        "Where it takes their security updates from.",
    ),
    "PYTHON_INDEX": ("https://pypi.org/simple", "Where it takes Python packages from; each is held to its hash."),
    "TERRAFORM_URL": ("https://releases.hashicorp.com/terraform", "Where it takes Terraform from."),
    "TERRAFORM_VERSION": ("1.11.4", "Terraform's version; with another one give its checksum too."),
    "TERRAFORM_SHA256_AMD64": ("", "SHA-256 of Terraform's zip for x86-64. Unset: of the shipped version."),
    "TERRAFORM_SHA256_ARM64": ("", "SHA-256 of Terraform's zip for ARM. Unset: of the shipped version."),
    "KUBECTL_URL": ("https://dl.k8s.io/release", "Where the build takes kubectl from."),
    "KUBECTL_VERSION": ("1.34.0", "kubectl's version; with another one give its checksum too."),
    "KUBECTL_SHA256_AMD64": ("", "SHA-256 of kubectl for x86-64. Unset: of the shipped version."),
    "KUBECTL_SHA256_ARM64": ("", "SHA-256 of kubectl for ARM. Unset: of the shipped version."),
}
