"""Which URLs and addresses agents may fetch from. Pure."""

import ipaddress
from collections.abc import Collection

import httpx

from agents.domain.errors import InvalidArguments, Refused

MAX_URL_CHARS = 4096
PORTS = (80, 443)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# what isn't meant for the whole internet, beyond what `is_global` knows in every Python version
_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; clouds serve credentials there
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's own services, on a public address
    )
)
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")  # all that is assigned: mapped, NAT64 and local addresses lie outside
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "2620:4f:8000::/48",
        "3ffe::/16",
        "3fff::/20",
    )
)


def public(address: Address) -> bool:
    """Whether the address is one of the public internet's."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id or address not in _PUBLIC_6 or any(address in network for network in _NOT_PUBLIC_6):
        return False
    return address.is_global


def checked(url: str, ports: Collection[int] = PORTS) -> httpx.URL:
    """The URL, if agents may fetch one like it. Raise InvalidArguments or Refused saying why not."""
    if len(url) > MAX_URL_CHARS:
        raise InvalidArguments(f"a URL of {len(url):,} characters; at most {MAX_URL_CHARS:,} are allowed")
    if any(not char.isprintable() or char.isspace() for char in url) or "\\" in url:
        raise InvalidArguments(f"{url[:200]!r}: white space, control characters or backslashes don't belong in a URL")
    try:
        parsed = httpx.URL(url)
        port = parsed.port
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise InvalidArguments(f"{url[:200]!r} is no URL: {str(error)[:200]}") from None
    if parsed.scheme not in ("http", "https"):
        raise Refused(f"{url[:200]!r}: only http:// and https:// pages are fetched")
    if not parsed.host:
        raise InvalidArguments(f"{url[:200]!r} names no host")
    if parsed.userinfo:
        raise Refused("a URL with a user name or password in it is not fetched: it would be shown to others")
    port = port or {"http": 80, "https": 443}[parsed.scheme]
    if port not in ports:
        allowed = ", ".join(str(one) for one in sorted(ports))
        raise Refused(f"port {port} is not fetched from, only {allowed}. Use run_checks to probe your own services")
    return parsed


def refused_address(host: str, address: str) -> str | None:
    """Why an address that the name resolves to is not dialled; None: it may be."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"{host} resolves to {address[:60]!r}, which is no address"
    if public(parsed):
        return None
    return (
        f"{host} is {parsed}, which is not an address of the public internet: fetch_webpage reaches nothing else. "
        "Use run_checks (http) for services of your own"
    )
