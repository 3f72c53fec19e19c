"""How a link gets its IPv4 address: by itself, or typed."""

from firmware.app import dialogs, menu, text_entry
from firmware.errors import Cancelled
from firmware.hal.wifi import StaticIp, is_ipv4

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.app.terminal import Terminal

#: "255.255.255.255".
_MOST = 15


async def ask(t: "Terminal") -> "StaticIp | None":
    """A static address, None for DHCP. Cancelled, Timeout."""
    keys = ["ip.dhcp", "ip.static"]
    chosen = await dialogs.menu(t, "ip.how", keys, menu.MENU_TIMEOUT_MS)
    if chosen is None:
        raise Cancelled("address")
    if chosen == 0:
        return None
    address = await _line(t, "ip.address", "", _refuse)
    mask = await _line(t, "ip.mask", "255.255.255.0", _refuse_mask)
    size = prefix(mask)

    def refuse_gateway(typed: str) -> str:
        wrong = _refuse(typed) or typed == address
        if wrong or _number(typed) >> (32 - size) != _number(address) >> (32 - size):
            return "ip.wrong_gateway"
        return ""

    net = ".".join(address.split(".")[:3]) + "." if size >= 24 else ""
    gateway = await _line(t, "ip.gateway", net, refuse_gateway)
    dns = await _line(t, "ip.dns", gateway, _refuse)
    return StaticIp(address, size, gateway, [dns])


async def _line(t: "Terminal", title_key: str, text: str, refuse: "Callable[[str], str]") -> str:
    return await text_entry.line(
        t,
        title_key,
        _MOST,
        text_entry.ADDRESS,
        text=text,
        refuse=refuse,
    )


def _refuse(typed: str) -> str:
    """A host's address: no network of its own, no loopback, no multicast."""
    if not is_ipv4(typed) or not 1 <= int(typed.split(".")[0]) <= 223 or typed[:4] == "127.":
        return "ip.wrong"
    return ""


def _refuse_mask(typed: str) -> str:
    return "" if is_ipv4(typed) and 1 <= prefix(typed) <= 30 else "ip.wrong_mask"


def prefix(mask: str) -> int:
    """Bits of a subnet mask, 0 for what is none."""
    number = _number(mask)
    for bits in range(1, 33):
        if number == (0xFFFFFFFF << (32 - bits)) & 0xFFFFFFFF:
            return bits
    return 0


def _number(address: str) -> int:
    number = 0
    for part in address.split("."):
        number = number << 8 | int(part)
    return number
