"""AddressRule: the IP addresses to which a download may connect."""

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
"""Special-purpose networks (RFC 6890 and later) that `ipaddress` of some supported Python versions lacks."""


@dataclass(frozen=True)
class AddressRule:
    """Allows public addresses and the given private networks."""

    networks: tuple[IPNetwork, ...] = ()
    """Allowed private networks."""

    anywhere: bool = False
    """Whether every address is allowed; for a server that the settings name."""

    @classmethod
    def parse(cls, networks: str) -> AddressRule:
        """Parse a comma-separated list of networks such as `10.1.0.0/16, fd00::/8`; empty allows public addresses only.

        Raises:
            ValueError: an entry is not a network.
        """
        entries = [entry.strip() for entry in networks.split(",") if entry.strip()]
        return cls(tuple(ipaddress.ip_network(entry, strict=False) for entry in entries))

    def allows(self, address: str) -> bool:
        """Whether a numeric address is allowed; IPv4 addresses embedded in IPv6 addresses are checked too."""
        if self.anywhere:
            return True
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        ip = mapped or ip
        return self._in_networks(ip) or all(self._is_public(each) for each in (ip, *_embedded(ip)))

    def require(self, host: str, addresses: Sequence[str]) -> Sequence[str]:
        """Return the addresses of a host. One forbidden address refuses the host, since it may be an attack.

        Raises:
            ImageNotFound: an address is not allowed (code `blocked_address`).
        """
        if not addresses or not all(self.allows(address) for address in addresses):
            raise ImageNotFound(
                f"an image at {host} is not fetched: its address is in a private or reserved network; if images "
                "are stored there, add the network to YOLO_MLSAM_PRIVATE_NETWORKS",
                code="blocked_address",
            )
        return addresses

    def _in_networks(self, address: IPAddress) -> bool:
        return any(address.version == each.version and address in each for each in self.networks)

    @staticmethod
    def _is_public(address: IPAddress) -> bool:
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
    """Return the IPv4 addresses that translators and tunnels would extract from an IPv6 address."""
    if address.version == 4:
        return []
    assert isinstance(address, ipaddress.IPv6Address)
    embedded: list[IPAddress] = []
    if address.sixtofour:
        embedded.append(address.sixtofour)
    if address.teredo:
        embedded.extend(address.teredo)
    if address in _NAT64 or address in _COMPATIBLE:
        embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return embedded
