"""AddressRule: to which network addresses a download may connect."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from mammo.errors import ImageNotFound

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")

_RESERVED = tuple(
    ipaddress.ip_network(each)
    for each in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "2001::/23",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)
"""Special-purpose networks (RFC 6890 and later) that `ipaddress` does not know in every Python that we support."""


@dataclass(frozen=True)
class AddressRule:
    """Public addresses, and what lies in the networks that the settings name."""

    networks: tuple[IPNetwork, ...] = ()
    """Private networks into which downloads may go."""

    anywhere: bool = False
    """Allow every address: for a server that the settings name themselves."""

    @classmethod
    def parse(cls, networks: str) -> AddressRule:
        """Read a comma separated list such as `10.1.0.0/16, fd00::/8`; empty allows public addresses only.

        Raises:
            ValueError: an entry is no network.
        """
        entries = [entry.strip() for entry in networks.split(",") if entry.strip()]
        return cls(tuple(ipaddress.ip_network(entry, strict=False) for entry in entries))

    def allows(self, address: str) -> bool:
        """Whether a numeric address may be connected to, whatever IPv4 address an IPv6 one hides."""
        if self.anywhere:
            return True
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        found = mapped or found
        return self._named(found) or all(self._public(each) for each in (found, *_embedded(found)))

    def require(self, host: str, addresses: Sequence[str]) -> Sequence[str]:
        """The addresses of a host, all of which must be allowed: one that is not may be a trap.

        Raises:
            ImageNotFound: code `blocked_address`.
        """
        if not addresses or not all(self.allows(address) for address in addresses):
            raise ImageNotFound(
                f"an image at {host} is not fetched: the address lies in a private or reserved network; if that "
                "is where images are, name the network in YOLO_MLSAM_PRIVATE_NETWORKS",
                code="blocked_address",
            )
        return addresses

    def _named(self, address: IPAddress) -> bool:
        return any(address.version == each.version and address in each for each in self.networks)

    @staticmethod
    def _public(address: IPAddress) -> bool:
        special = (
            address.is_private
            or address.is_loopback
            or address.is_link_local
            or address.is_multicast
            or address.is_reserved
            or address.is_unspecified
            or any(address.version == each.version and address in each for each in _RESERVED)
        )
        return address.is_global and not special


def _embedded(address: IPAddress) -> list[IPAddress]:
    """IPv4 addresses that translators and tunnels would take out of an IPv6 address."""
    if address.version == 4:
        return []
    assert isinstance(address, ipaddress.IPv6Address)
    found: list[IPAddress] = []
    if address.sixtofour:
        found.append(address.sixtofour)
    if address.teredo:
        found.extend(address.teredo)
    if address in _NAT64 or address in _COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found
