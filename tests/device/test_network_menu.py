"""The network menu on a whole handheld: Wi-Fi and a modem at the wire, keys and screens."""

import asyncio

from firmware.drivers import modem_scripts as scripts
from firmware.hal.bearer import DOWN
from host_tools.emulator.chips.wlan_radio import AccessPoint
from tests.device.stories import menu
from tests.support.handheld import Handheld
from tests.support.linked import (
    CAFE,
    CAFE_KEY,
    SHOP,
    Linked,
    comes_up,
    find,
    notes,
    nowhere,
    open_menu,
    says,
    tell,
    types_pin,
)

ENTER, CANCEL = "enter", "cancel"


def test_the_links_are_listed_with_all_that_is_known() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await comes_up(t, "mobile")
        await open_menu(t)
        (items,) = [n for n in (await t.until("networks"))["nodes"] if n["name"] == "items"]
        assert items["items"] == ["Wi-Fi", "Mobile"]
        assert items["badges"][0] == [4, False] and items["marked"] == 0
        assert items["badges"][1][0] > 0
        await t.press("1")
        tree = await t.until("link")
        (lines,) = [n["items"] for n in tree["nodes"] if n["name"] == "lines"]
        told = {left: right for left, right in lines}
        assert told["State"] == "works" and told["In use"] == "yes" and told["Signal"] == "4/4"
        assert told["Network"] == SHOP and told["Address"] == "192.168.4.20"
        assert told["Pay by data"] == "no" and told["Order"] == "1"
        await t.press(CANCEL)
        await t.until("networks")
        await t.press("2")
        tree = await t.until("link")
        (lines,) = [n["items"] for n in tree["nodes"] if n["name"] == "lines"]
        told = {left: right for left, right in lines}
        assert told["SIM"] == "open" and told["APN"] == "cmnet" and told["Roaming"] == "yes"
        assert told["In use"] == "no" and told["Pay by data"] == "yes"
        # EC25 counts, and this far end took nothing yet.
        assert told["Sent"].endswith(" kB") and told["Received"].endswith(" kB")

    tell(story)


def test_bytes_that_nobody_counts_are_said_to_be_unknown() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "mobile")
        t.way("mobile").bearer.family = scripts.GENERIC  # type: ignore[attr-defined]
        await t.open_link(2)
        (lines,) = [n["items"] for n in t.screen["nodes"] if n["name"] == "lines"]
        told = {left: right for left, right in lines}
        assert told["Sent"] == told["Received"] == "not known"

    tell(story)


def test_the_line_test_tells_our_address_on_the_link_that_carries() -> None:
    async def lines(t: Linked) -> dict[str, str]:
        await menu(t, 3)
        tree = await t.until("info")
        (told,) = [n["items"] for n in tree["nodes"] if n["kind"] == "lines"]
        await t.press(CANCEL)
        await t.until("idle")
        return {left: right for left, right in told}

    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await comes_up(t, "mobile")
        told = await lines(t)
        assert (told["Link"], told["Address"]) == ("Wi-Fi", "192.168.4.20")
        t.rack.radio.air = []
        while t.links.active.name == "wifi":
            await asyncio.sleep(1)
        told = await lines(t)
        assert (told["Link"], told["Address"]) == ("Mobile", t.modem.address)

    tell(story)


def test_a_network_is_found_joined_and_kept_over_a_restart() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await find(t, 2)
        await t.until("typed")
        assert "p@ss" not in str(t.screens)
        await t.type("p@ss")
        await t.press(ENTER)
        await t.when(lambda _: "wifi.short" in t.keys_shown(), "too short")
        await t.type(" Word9")
        await t.press(ENTER)
        await says(t, "link.works")
        await says(t, "link.test_question")
        await t.until("info")
        assert "bank" in t.text.lower()
        await t.press(CANCEL)
        await t.until("link")
        assert (await t.way("wifi").bearer.status()).operator == CAFE
        assert notes(t) == ["supervisor: wifi network joined"]
        await t.power_off()
        await t.power_on()
        await comes_up(t, "wifi")
        assert (await t.way("wifi").bearer.status()).operator == CAFE
        nowhere(t, CAFE_KEY, "Word9")

    tell(story)


def test_a_refused_password_has_its_own_words_and_is_asked_again() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await find(t, 2)
        await t.until("typed")
        await t.type("wrong word")
        await t.press(ENTER)
        await says(t, "error.wifi_password")
        await t.until("typed")
        await t.press(CANCEL)
        await t.until("link")
        await comes_up(t, "wifi")  # the network of before
        assert (await t.way("wifi").bearer.status()).operator == SHOP
        assert notes(t) == []
        nowhere(t, "wrong word")

    tell(story)


def test_an_open_network_is_warned_of_and_a_portal_is_told() -> None:
    class Portal:
        """Answers whatever it is asked with a page of its own."""

        closed = False

        def __init__(self) -> None:
            self._out = b""

        def feed(self, data: bytes) -> None:
            self._out += b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n"

        def take(self) -> bytes:
            out, self._out = self._out, b""
            return out

        def close(self) -> None:
            """Nobody cares."""

    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await menu(t, 3)  # the line test: from now on the bank is asked for
        await t.until("info")
        await t.press(CANCEL)
        await t.until("idle")
        bank = t.rack.net.dial
        t.rack.net.dial = lambda host, port: Portal() if t.dialling == "wifi" else bank(host, port)
        await find(t, 3)
        await says(t, "wifi.open_question")
        await says(t, "error.captive")
        await t.when(lambda _: "link.test_question" in t.keys_shown(), "the offer")
        await t.press(CANCEL)
        await t.until("link")
        assert "log-in page" in t.text
        assert t.way("wifi").cause == "captive" and t.links.active is t.way("mobile")

    tell(story)


def test_a_hidden_network_by_its_name_and_forgetting_it() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await t.open_link(1)
        await t.choose(2)
        await t.until("typed")
        await t.press(ENTER)
        await t.when(lambda _: "wifi.bad_name" in t.keys_shown(), "no name")
        await t.type("Nack")
        await t.press("clear", "clear", "clear", "clear")
        await t.press("menu", "menu", "menu")  # round to where it was
        await t.when(lambda tree: "0/32" in str(tree), "an empty line")
        # The keypad is on small letters again only by what is shown.
        while "typing.lower" not in t.keys_shown():
            await t.press("menu")
        await t.type("Back")
        await t.press(ENTER)
        await t.until("menu")
        await t.press("1")
        await t.until("typed")
        await t.type("back room")
        await t.press(ENTER)
        await says(t, "link.works")
        await t.when(lambda _: "link.test_question" in t.keys_shown(), "the offer")
        await t.press(CANCEL)
        await t.until("link")
        assert (await t.way("wifi").bearer.status()).operator == "Back"
        # Forgotten: the board's own network again, also after a restart.
        await t.choose(3, code=False)
        await t.until("networks")
        await t.press(ENTER)
        await t.until("menu")
        await t.press("2")
        await says(t, "wifi.forget_question")
        await says(t, "wifi.forgotten")
        await comes_up(t, "wifi")
        assert (await t.way("wifi").bearer.status()).operator == SHOP
        await t.power_off()
        await t.power_on()
        await comes_up(t, "wifi")
        assert (await t.way("wifi").bearer.status()).operator == SHOP
        # The board's own is not forgotten here.
        await t.open_link(1)
        await t.choose(3)
        await t.until("networks")
        await t.press(ENTER)
        await t.until("menu")
        await t.press("2")
        await says(t, "wifi.forget_question")
        await says(t, "wifi.board")

    tell(story)


def test_nothing_in_the_air_a_dead_radio_and_cancel() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        point = t.air[CAFE]
        await find(t, 2)
        await t.until("typed")
        point.on = False
        await t.type("p@ss word")
        await t.press(ENTER)
        await says(t, "wifi.missing")
        await t.until("link")
        # Cancel ends a wait at once.
        point.on, point.gives_address = True, False
        await t.choose(1, code=False)
        await t.until("networks")
        await t.press("2")
        await t.until("typed")
        await t.type("p@ss Word9")
        await t.press(ENTER)
        await t.when(lambda _: "link.stage.connecting" in t.keys_shown(), "the wait")
        await t.press(CANCEL)
        await t.until("link", limit_s=5)
        t.rack.radio.air = []
        await t.choose(1, code=False)
        await says(t, "wifi.none")
        await t.until("link")
        t.rack.radio.mute = True
        await t.choose(1, code=False)
        await says(t, "error.network")
        await t.until("link")
        assert "device silent" in t.text
        await t.press(CANCEL, CANCEL)
        await t.until("idle")
        assert (await t.way("wifi").bearer.status()).state == DOWN

    tell(story)


def test_a_network_without_addresses_and_one_that_is_too_far_away() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        t.air[CAFE].gives_address = False
        await find(t, 2)
        await t.until("typed")
        await t.type(CAFE_KEY)
        await t.press(ENTER)
        await says(t, "error.no_address")
        await t.until("link")
        t.air["Free"].dbm = -88
        await t.choose(1, code=False)
        await t.until("networks")
        await t.press("3")
        await says(t, "wifi.open_question")
        await says(t, "error.weak_signal")

    tell(story)


def test_a_wrong_supervisors_code_changes_nothing() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await t.open_link(1)
        await t.press(ENTER)
        await t.until("menu")
        await t.press("1")
        await t.until("secret")
        await t.press("0", "0", "0", "0", ENTER)
        await says(t, "supervisor.wrong")
        await t.until("link")
        assert not [one for one in t.screens if one["screen"] == "typed"]

    tell(story)


def test_an_air_full_of_strange_names() -> None:
    async def story(t: Linked) -> None:
        names = ["\n\x1b[2J", "W" * 32, "店" * 10, " ", "é" * 16, "\u202eevil", "a\x00b"]
        names += [f"network {i}" for i in range(60)]
        t.rack.radio.air += [
            AccessPoint(name, "x" * 8, dbm=-60 - i) for i, name in enumerate(names[:35])
        ]
        await t.power_on()
        await comes_up(t, "wifi")
        await t.open_link(1)
        await t.choose(1)
        tree = await t.until("networks")
        (items,) = [n for n in tree["nodes"] if n["name"] == "items"]
        assert len(items["items"]) == 32
        assert not [sign for sign in "".join(items["items"]) if sign < " "]
        await t.press(*["down"] * 33)
        await t.press(CANCEL)
        await t.until("link")

    tell(story)


def test_order_and_metering_are_kept() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await comes_up(t, "mobile")
        await t.open_link(2)
        await t.choose(4)  # first
        await says(t, "link.kept")
        await t.when(lambda _: "link.test_question" in t.keys_shown(), "the offer")
        await t.press(CANCEL)
        await t.until("link")
        assert t.links.active is t.way("wifi"), "free before metered"
        await t.choose(5, code=False)
        await t.until("menu")
        await t.press("2")
        await says(t, "link.kept")
        await t.when(lambda _: "link.test_question" in t.keys_shown(), "the offer")
        await t.press(CANCEL)
        await t.until("link")
        await asyncio.sleep(60)  # a better link has to hold before it is gone to
        assert t.links.active is t.way("mobile")
        await t.power_off()
        await t.power_on()
        await comes_up(t, "mobile")
        assert [way.rank for way in t.links.ways] == [1, 0]
        assert not t.way("mobile").metered

    tell(story)


def test_an_open_case_forgets_the_links() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "wifi")
        await find(t, 2)
        await t.until("typed")
        await t.type("p@ss Word9")
        await t.press(ENTER)
        await says(t, "link.works", leave=False)
        await t.press(ENTER, CANCEL)
        await t.until("link")
        await t.press(CANCEL, CANCEL)
        await t.until("idle")
        assert "links.cbor" in t.disk.names()
        t.rack.tamper.set(False)
        await t.when(lambda _: "error.tamper" in t.keys_shown(), "the alarm")
        await t.press(ENTER)
        await t.until("idle")
        assert "links.cbor" not in t.disk.names()
        assert t.way("wifi").bearer._wlan.chosen()[0] == SHOP  # type: ignore[attr-defined]

    tell(story)


def test_a_case_opened_while_it_was_off_forgets_them_at_the_start() -> None:
    async def story(t: Linked) -> None:
        t.modem.sim, t.modem.sim_pin = "pin", "4711"
        await t.power_on()
        await t.open_link(2)
        await t.choose(1)
        await types_pin(t, "4711")
        await says(t, "mobile.opened")
        await t.until("progress")
        assert "links.cbor" in t.disk.names()
        await t.power_off()
        t.rack.tamper.set(False)
        t.modem.sim = "pin"
        await t.power_on()
        assert "error.tamper" in t.keys_shown()
        await asyncio.sleep(30)
        assert "links.cbor" not in t.disk.names()
        assert t.modem.log.count('AT+CPIN="4711"') == 1 and t.modem.sim == "pin"

    tell(story)


def test_a_damaged_file_of_settings_is_named_and_made_anew() -> None:
    async def story(t: Linked) -> None:
        t.put("links.cbor", bytes(64))
        await t.power_on()
        await comes_up(t, "wifi")
        await menu(t, 5)
        await t.until("self_test")
        assert ["Link settings", "FAIL"] in t.screen["nodes"][1]["items"]
        await t.press(CANCEL)
        await t.until("idle")
        await t.open_link(1)
        await t.choose(4)
        await says(t, "link.kept")
        await t.power_off()
        await t.power_on()
        await comes_up(t, "wifi")
        assert t.disk.snapshot()["links.cbor"] != bytes(64)

    tell(story)


def test_one_link_alone_is_shown_with_nothing_to_set() -> None:
    async def run() -> None:
        t = Handheld()
        await t.power_on()
        await open_menu(t)
        await t.until("link")
        assert "Signal" in t.text and "hint.change" not in t.keys_shown()
        await t.press(ENTER)
        await t.until("idle")
        await t.power_off()

    from tests.support import virtual_time

    virtual_time.run(run())
