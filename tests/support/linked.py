"""A handheld with two links, Wi-Fi and a modem, whose chips answer at the wire.

The radio is a microcontroller's (module ``network`` on the rack), the modem an EC25
with a far end that echoes in place of PPP. Each link reaches the bank only while its
chip says that it is connected.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from firmware.app.menu import ITEMS
from firmware.board_links import Links
from firmware.buses.raw_net import RawConnection
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WireSerial
from firmware.buses.wire_net import WireNet
from firmware.buses.wlan_mpy import MpyWlan
from firmware.drivers.at_modem import AtModem
from firmware.drivers.tls_link import TlsLink
from firmware.drivers.wlan import WlanBearer
from firmware.hal.bearer import DOWN, UP, Bearer
from firmware.hal.network import LinkStatus
from firmware.payment.journal import records as r
from firmware.services.link_supervisor import Way
from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.chips.wlan_radio import OPEN, AccessPoint
from host_tools.emulator.modem_pty import EchoEnd
from tests.support import virtual_time
from tests.support.handheld import Handheld
from tests.support.mcu import installed
from tests.support.modem_rig import EchoCarrier

SHOP, SHOP_KEY = "Shop", "shop key 1"
CAFE, CAFE_KEY = "Cafe 2", "p@ss Word9"
CODE = "123456"


class _Through(WireNet):
    """The rack's connections, as far as ``bearer`` has its own."""

    bearer: Bearer
    handheld: "Linked"

    async def connect(self, host: str, port: int) -> RawConnection:  # type: ignore[override]
        if (await self.bearer.status()).state == DOWN:
            raise BusError("this link is down")
        self.handheld.dialling = self.bearer.kind
        return await super().connect(host, port)


class _Watched(Links):
    """Begins to watch once the firmware looks at it: its tasks are the firmware's."""

    async def status(self) -> LinkStatus:
        if not self._tasks:
            self.start()
        return await super().status()


class Linked(Handheld):
    """``air``: the access points; ``modem``: the chip; ``links``: the life's own.
    ``ports``: of the modem."""

    links: Links
    #: Names of links that rest until they are needed.
    cold: tuple[str, ...] = ()
    #: Kind of the link that connects now: the rack's network is one for both.
    dialling = ""

    def __init__(self, ports: int = 2, **wishes: Any) -> None:
        super().__init__(**wishes)
        self.ports = ports
        self.air = {
            SHOP: AccessPoint(SHOP, SHOP_KEY, dbm=-50),
            CAFE: AccessPoint(CAFE, CAFE_KEY, dbm=-65),
            "Free": AccessPoint("Free", "", security=OPEN, dbm=-75),
            "Back": AccessPoint("Back", "back room", hidden=True),
        }
        self.rack.radio.air = list(self.air.values())
        self.modem: AtModemChip = self.rack.modem
        self.modem.dial = EchoEnd
        self.fitted = self._fit

    def _fit(self, wire: Wire) -> dict[str, Any]:
        ways = []
        modem = AtModem(
            WireSerial(wire, "modem", 115200), EchoCarrier(), "cmnet",
            data_port=WireSerial(wire, "modem_data", 115200) if self.ports > 1 else None,
        )  # fmt: skip
        bearers: dict[str, Bearer] = {"wifi": WlanBearer(MpyWlan(SHOP, SHOP_KEY)), "mobile": modem}
        for rank, (name, bearer) in enumerate(bearers.items()):
            net = _Through(wire, "net")
            net.bearer, net.handheld = bearer, self
            link = TlsLink(net, bearer.kind)
            warm = name not in self.cold
            ways.append(Way(name, bearer, link, None, rank, name == "mobile", warm))
        self.links = _Watched(ways)
        return {"network": self.links}

    def way(self, name: str) -> Way:
        """A link by its name."""
        (found,) = [one for one in self.links.ways if one.name == name]
        return found

    async def type(self, text: str) -> None:
        """Type on the digits, in small letters, capitals and digits as needed."""
        mode = 0
        letters = {
            sign: (key, signs.index(sign) + 1)
            for key, signs in (
                ("1", ".-_@/:"), ("2", "abc"), ("3", "def"), ("4", "ghi"), ("5", "jkl"),
                ("6", "mno"), ("7", "pqrs"), ("8", "tuv"), ("9", "wxyz"), ("0", " "),
            )
            for sign in signs
        }  # fmt: skip
        for sign in text:
            wanted = 2 if sign.isdigit() else 1 if sign.isupper() else 0 if sign.isalpha() else mode
            if sign not in letters and not sign.isdigit() and not sign.isalpha():
                raise AssertionError(f"no key for {sign!r}")
            if not sign.isalnum() and mode == 2:
                wanted = 0
            while mode != wanted:
                await self.press("menu")
                mode = (mode + 1) % 3
            key, times = (sign, 1) if mode == 2 else letters[sign.lower()]
            await self.press(*[key] * times)
            await self.rest()

    async def rest(self) -> None:
        """Until the last sign typed stays what it is."""
        await asyncio.sleep(1.5)

    async def open_link(self, number: int) -> None:
        """From the idle screen to a link's page."""
        await open_menu(self)
        await self.until("networks")
        await self.press(str(number))
        await self.until("link")

    async def choose(self, item: int, code: bool = True) -> None:
        """From a link's page to one of its settings, with the supervisor's code."""
        await self.press("enter")
        await self.until("menu")
        await self.press(str(item))
        if code:
            await self.until("secret")
            await self.press(*CODE, "enter")


async def open_menu(t: Handheld) -> None:
    """From the idle screen to the network menu."""
    await t.press("menu")
    await t.until("menu")
    await t.press(*["down"] * ITEMS.index("menu.network"), "enter")


def tell(story: Callable[[Linked], Awaitable[None]], **wishes: Any) -> None:
    """Run a story on a fresh terminal with two links."""

    async def run() -> None:
        t = Linked(**wishes)
        with _radio(t):
            await story(t)
            await t.power_off()

    virtual_time.run(run())


@contextmanager
def _radio(t: Linked) -> Iterator[None]:
    with installed(t.rack, {"wlan": "wlan", "pins": "gpio"}, "rp2"):
        yield


def nowhere(t: Handheld, *secrets: str) -> None:
    """No secret was on a screen's tree, on paper, or is on the disk in clear."""
    seen = [str(t.screens), t.paper, str(t.journal())]
    seen += [content.decode("latin-1") for content in t.disk.snapshot().values()]
    for secret in secrets:
        assert not [one for one in seen if secret in one], secret


def notes(t: Handheld) -> list[str]:
    """What the journal says of changed links."""
    bodies: list[dict[int, Any]] = [body for name, body in t.journal() if name == "NOTICE"]
    return [str(one[r.K_DETAIL]) for one in bodies if one[r.K_CODE] == "link_changed"]


async def says(t: Linked, key: str, leave: bool = True) -> None:
    """Wait for a message, and leave it."""
    await t.when(lambda _: key in t.keys_shown(), key)
    if leave:
        await t.press("enter")


async def types_pin(t: Linked, pin: str) -> None:
    """Leave the message that asks for the SIM's PIN, and type one."""
    await says(t, "mobile.asks")
    await t.until("secret")
    await t.press(*pin, "enter")


async def comes_up(t: Linked, name: str) -> None:
    """Wait until a link carries."""
    for _ in range(200):
        if t.links.ways and t.way(name).state == UP:
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"{name} does not come up: {t.way(name).cause}")


async def find(t: Linked, network: int) -> None:
    """From the idle screen to a network of the list."""
    await t.open_link(1)
    await t.choose(1)
    await t.until("networks")
    await t.press(str(network))
