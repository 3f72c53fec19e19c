"""Lines and addresses typed on a keypad, on both interpreters."""

from firmware import aio, main
from firmware.app import ip_entry, text_entry
from firmware.errors import Cancelled, Timeout
from firmware.hal.keypad import Keypad
from firmware.text.texts import Texts
from firmware.ui.view import View
from tests.portable.test_ui import PaperDisplay
from tests.portable.virtual_run import run

assert main  # imported first: it takes the deep chains leaves first


class Hand(Keypad):
    """Presses what it is told to, each key 100 ms after it is waited for."""

    def __init__(self, keys):
        self.keys = list(keys)

    async def read(self):
        await aio.sleep_ms(100 if self.keys and self.keys[0] != "rest" else 1500)
        if not self.keys:
            await aio.sleep_ms(10_000_000)
        key = self.keys.pop(0)
        return key if key != "rest" else "feed"  # a key that means nothing


class Devices:
    def __init__(self, keys):
        self.keypad = Hand(keys)


class Front:
    """What a dialog needs of a terminal."""

    def __init__(self, keys):
        self.devices = Devices(keys)
        self.view = View(PaperDisplay(), Texts("en"))
        self.order, self.free = None, False

    async def sound(self, name):
        pass


def asked(keys):
    """What comes of typing an address."""
    front = Front(keys)
    found = []

    async def story():
        try:
            found.append(await ip_entry.ask(front))
        except Cancelled:
            found.append("cancelled")

    run(story())
    front.view.texts.close()
    assert not front.devices.keypad.keys
    return found[0]


def typed(text):
    return list(text) + ["enter"]


def test_an_address_by_dhcp_and_by_hand():
    assert asked(["enter"]) is None
    assert asked(["cancel"]) == "cancelled"
    keys = ["2"] + typed("192.168.7.20") + ["enter"] + typed("1") + ["enter"]
    static = asked(keys)
    assert (static.address, static.prefix) == ("192.168.7.20", 24)
    assert (static.gateway, static.dns) == ("192.168.7.1", ["192.168.7.1"])


def test_what_is_no_address_is_not_taken():
    clear = ["clear"] * 15
    keys = ["2", "enter"]
    for wrong in ("10.0.0", "300.1.1.1", "127.0.0.1", "0.1.2.3", "239.1.1.1"):
        keys += typed(wrong) + clear
    keys += typed("10.1.2.3")
    for wrong in ("255.0.255.0", "255.255.255.255", "0.0.0.0"):
        keys += clear + typed(wrong)
    keys += clear + typed("255.255.0.0")
    for wrong in ("10.2.0.1", "10.1.2.3"):  # another network's, and its own
        keys += typed(wrong) + clear
    keys += typed("10.1.0.1") + clear + typed("9.9.9.9")
    static = asked(keys)
    assert (static.address, static.prefix) == ("10.1.2.3", 16)
    assert (static.gateway, static.dns) == ("10.1.0.1", ["9.9.9.9"])


def test_a_line_ends_in_silence():
    front = Front(["2"])

    async def story():
        try:
            await text_entry.line(front, "wifi.name", 32)
            raise AssertionError("no end")
        except Timeout:
            pass

    run(story())
    assert front.view.screen.find("typed").text == "a_"
    front.view.texts.close()
