"""Only public addresses, and private networks by name; no way of writing an address hides it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.errors import ImageNotFound
from mammo.images.downloads.addresses import AddressRule
from mammo.images.downloads.network import resolve

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::",
    "2002:a00:1::1", "2001:0:a00:1::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused_in_every_dress(address: str) -> None:
    assert not AddressRule().allows(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressRule().allows(address)


def test_a_private_network_is_opened_by_name_and_no_other_with_it() -> None:
    rule = AddressRule.parse(" 10.1.0.0/16, fd00::/8 ")
    assert rule.allows("10.1.2.3")
    assert rule.allows("fd00::5")
    assert not rule.allows("10.2.0.1")
    assert not rule.allows("127.0.0.1")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_when_an_ipv6_one_carries_it(
    address: ipaddress.IPv4Address,
) -> None:
    number = int(address)
    rule = AddressRule.parse("10.1.0.0/16")
    mapped = ipaddress.IPv6Address(int(ipaddress.IPv6Address("::ffff:0:0")) | number)
    assert rule.allows(str(mapped)) == rule.allows(str(address))
    for prefix in ("64:ff9b::", "::"):
        carrier = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | number)
        assert not rule.allows(str(carrier)) or rule.allows(str(address))


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0x7f000001", "localhost"])
def test_numbers_that_hide_an_address_are_seen_through(host: str) -> None:
    addresses = resolve(host, 80)
    assert set(addresses) <= {"127.0.0.1", "::1"}
    with pytest.raises(ImageNotFound) as failure:
        AddressRule().require(host, addresses)
    assert failure.value.code == "blocked_address"


def test_one_private_address_among_public_ones_is_a_trap() -> None:
    with pytest.raises(ImageNotFound, match="YOLO_MLSAM_PRIVATE_NETWORKS"):
        AddressRule().require("images.test", ["8.8.8.8", "127.0.0.1"])
    assert AddressRule().require("images.test", ["8.8.8.8"]) == ["8.8.8.8"]


def test_a_host_without_any_address_is_refused() -> None:
    with pytest.raises(ImageNotFound):
        AddressRule().require("images.test", [])
