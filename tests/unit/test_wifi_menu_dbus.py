"""The Wi-Fi and address pages over NetworkManager as it is played on a real bus: what the
service keeps itself, static addresses, and a service that dies in the middle."""

from typing import Any

from firmware import aio
from firmware.app import network_menu, wifi_menu
from firmware.app.link_work import Visit
from firmware.drivers.nm_linux import NmCable
from firmware.errors import Cancelled
from firmware.hal.bearer import UP
from firmware.hal.keypad import Keypad
from firmware.hal.network import NetworkLink
from firmware.services.link_supervisor import LinkSupervisor, Way
from tests.conformance.test_bearer_dbus import Rig, play
from tests.portable.test_text_entry import Front
from tests.support.memory_files import MemoryFiles
from tests.support.played_network import Point

PASSWORD = "31415926"
#: Typed in the mode for digits, which needs no rests.
TYPED = ["menu", "menu", *PASSWORD, "enter"]
#: Pressed while a wait is shown; the others are for what comes after it.
LEAVE = "leave"


class _Hand(Keypad):
    """Presses keys at the screens that want some, and acknowledges every message."""

    def __init__(self, front: "Merchant", keys: list[str]) -> None:
        self._front = front
        self.keys = keys

    async def read(self) -> str:
        while True:
            await aio.sleep_ms(20)
            screen = self._front.view.screen
            shown = screen.name if screen is not None else ""
            if shown == "message":
                return "enter"
            if self.keys and (shown == "progress") == (self.keys[0] == LEAVE):
                key = self.keys.pop(0)
                return "cancel" if key == LEAVE else key


class Merchant(Front):
    """A terminal without a bundle: the text keys of its screens, and the keys pressed there."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__([])
        self.devices.keypad = _Hand(self, keys)  # type: ignore[assignment]
        self.devices.files = MemoryFiles()  # type: ignore[attr-defined]
        self.devices.vault = object()  # type: ignore[attr-defined]
        self.provision = self.session = None
        self.may_journal = False
        self.said: list[str] = []
        self.view.on_screen = self._hear

    def _hear(self, tree: dict[str, Any]) -> None:
        assert PASSWORD not in str(tree)
        self.said += [str(node["key"]) for node in tree["nodes"] if node.get("key")]

    async def lamps(self, *on: str) -> None:
        """None here."""


def visit(rig: Rig, keys: list[str]) -> tuple[Merchant, Visit, Way]:
    way = Way("link", rig.bearer, NetworkLink(), None)
    way.state = UP
    return (front := Merchant(keys)), Visit(front, LinkSupervisor([way])), way  # type: ignore[arg-type]


def test_a_password_goes_to_the_service_alone_and_an_address_with_it() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.show(Point(b"cafe", PASSWORD, strength=90))
        keys = ["1", *TYPED, "2", *"10.9.8.7", "enter", "enter", "1", "enter", "enter"]  # fmt: skip
        front, stay, way = visit(rig, keys)
        stay.network.start()
        await wifi_menu.find(stay, way)
        await stay.network.stop()
        assert "link.works" in front.said
        assert front.devices.keypad.keys == [] and front.devices.files.now == {}  # type: ignore[attr-defined]
        (made,) = [one for one in rig.nm.profiles.values() if "cafe" in str(one["connection"])]
        assert made["802-11-wireless-security"]["psk"].value == PASSWORD
        assert made["ipv4"]["method"].value == "manual"
        assert made["ipv4"]["gateway"].value == "10.9.8.1"
        # Forgotten again.
        front, stay, way = visit(rig, ["1", "2", "enter"])
        await wifi_menu.known(stay, way)
        assert "wifi.forgotten" in front.said
        assert not [one for one in rig.nm.profiles.values() if "cafe" in str(one["connection"])]

    play("wifi", story)


def test_a_service_that_dies_while_a_network_is_joined() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.show(Point(b"cafe", PASSWORD, strength=90))
        rig.nm.stuck = True
        front, stay, way = visit(rig, ["1", *TYPED, "1"])

        async def dies() -> None:
            while "ActivateConnection" not in rig.nm.called:
                await aio.sleep_ms(20)
            await rig.nm.vanish()

        rig.nm.called.clear()
        death = aio.spawn("death", dies())
        await wifi_menu.find(stay, way)
        await death.join()
        assert "error.network" in front.said
        front, stay, way = visit(rig, [])
        await wifi_menu.find(stay, way)
        assert "error.network" in front.said
        front, stay, way = visit(rig, [])
        await wifi_menu.known(stay, way)
        assert "error.network" in front.said

    play("wifi", story)


def test_cancel_takes_a_join_back() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.show(Point(b"cafe", PASSWORD, strength=90))
        rig.nm.stuck = True
        before = set(rig.nm.profiles)
        keys = ["1", *TYPED, "1", LEAVE]
        _, stay, way = visit(rig, keys)
        try:
            await wifi_menu.find(stay, way)
            raise AssertionError("not cancelled")
        except Cancelled:
            pass
        assert set(rig.nm.profiles) == before

    play("wifi", story)


async def _address(stay: Visit, way: Way) -> None:
    stay.network.start()
    await dict(network_menu._actions(stay, way))["ip.how"](stay, way)
    await stay.network.stop()


def test_a_cable_gets_an_address_by_hand_and_by_dhcp_again() -> None:
    async def story(rig: Rig) -> None:
        assert isinstance(rig.bearer, NmCable)
        keys = ["2", *"10.9.8.7", "enter", "enter", "1", "enter", "enter"]
        front, stay, way = visit(rig, keys)
        await _address(stay, way)
        (made,) = rig.nm.profiles.values()
        assert made["ipv4"]["method"].value == "manual" and front.devices.keypad.keys == []
        front, stay, way = visit(rig, ["1"])
        await _address(stay, way)
        (made,) = rig.nm.profiles.values()
        assert made["ipv4"]["method"].value == "auto"

    play("ethernet", story)
