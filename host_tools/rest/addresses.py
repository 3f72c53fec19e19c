"""Where webhooks are not sent: addresses behind which a network's own services listen."""

import ipaddress
from collections.abc import Sequence

from host_tools.errors import UserError
from host_tools.texts import said

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Metadata services of clouds that are not on a link-local address.
_METADATA = [ipaddress.ip_address(one) for one in ("100.100.100.200", "192.0.0.192",
                                                   "fd00:ec2::254")]  # fmt: skip


def networks(texts: Sequence[str]) -> list[Network]:
    """Networks by their texts. UserError."""
    try:
        return [ipaddress.ip_network(text, strict=False) for text in texts]
    except ValueError as error:
        raise UserError(said("no address or network: {error}", error=error)) from None


def allowed_address(found: Sequence[str], allowed: Sequence[Network], tls: bool) -> str:
    """The first address; every one must be one to which may be sent. Plain text goes to this
    computer alone. UserError."""
    for text in found:
        address = _plain(text)
        if any(address in network for network in allowed):
            continue
        strange = address.is_link_local or address.is_multicast or address.is_unspecified
        if strange or address in _METADATA:
            raise UserError(
                said("{address} is refused; till api webhook add --allow {address} allows it",
                     address=address)
            )  # fmt: skip
        if not tls and not address.is_loopback:
            raise UserError(
                said("{address}: http:// is for this computer; use https://", address=address)
            )
    return found[0]


def _plain(text: str) -> Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
