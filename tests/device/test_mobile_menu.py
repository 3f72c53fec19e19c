"""The pages of a modem on a whole handheld: SIM, access point and roaming at the wire."""

import asyncio
from typing import Any

import pytest

from tests.portable.test_modem_scripts import CHINESE, HELLO
from tests.support.linked import (
    Linked,
    comes_up,
    notes,
    nowhere,
    says,
    tell,
    types_pin,
)

ENTER, CANCEL = "enter", "cancel"


def test_the_sims_pin_with_its_tries() -> None:
    async def story(t: Linked) -> None:
        t.modem.sim, t.modem.sim_pin = "pin", "4711"
        await t.power_on()
        await t.open_link(2)
        await t.when(lambda tree: "SIM asks for PIN" in t.text, "the SIM's state")
        assert "PIN tries left', '3" in str(t.screen)
        await t.choose(1)
        await t.when(lambda _: "mobile.asks" in t.keys_shown(), "the tries")
        assert "3 tries left" in t.text
        await t.press(ENTER)
        await t.until("secret")
        await t.press("1", "2", ENTER)
        await says(t, "mobile.bad_pin")
        await says(t, "mobile.asks")
        await t.press(*"9999", ENTER)
        await t.when(lambda _: "mobile.wrong_pin" in t.keys_shown(), "refused")
        assert "2 tries left" in t.text and t.modem.tries == 2
        await t.press(ENTER)
        await types_pin(t, "4711")
        await says(t, "mobile.opened")
        await says(t, "link.works", leave=False)
        assert notes(t) == ["supervisor: mobile SIM opened"]
        await t.power_off()
        # The SIM was pulled and asks again: the kept PIN opens it, once.
        t.modem.sim, before = "pin", t.modem.log.count('AT+CPIN="4711"')
        await t.power_on()
        await comes_up(t, "mobile")
        assert t.modem.log.count('AT+CPIN="4711"') == before + 1
        nowhere(t, "4711", "9999")

    tell(story)


@pytest.mark.parametrize(
    ("sim", "tries", "words"),
    [
        ("pin", 1, "mobile.last_try"), ("puk", 0, "error.sim_puk"), ("absent", 3, "error.sim"),
        ("ready", 3, "mobile.open"),
    ],
)  # fmt: skip
def test_sims_that_no_pin_opens(sim: str, tries: int, words: str) -> None:
    async def story(t: Linked) -> None:
        t.modem.sim, t.modem.tries = sim, tries
        await t.power_on()
        await t.open_link(2)
        await t.choose(1)
        await says(t, words)
        await t.until("link")
        assert t.modem.tries == tries
        assert not [line for line in t.modem.log if "CPIN=" in line]

    tell(story)


def test_the_second_wrong_pin_is_the_last_that_is_sent() -> None:
    async def story(t: Linked) -> None:
        t.modem.sim, t.modem.sim_pin = "pin", "4711"
        await t.power_on()
        await t.open_link(2)
        await t.choose(1)
        for typed in ("9999", "8888"):
            await types_pin(t, typed)
            await says(t, "mobile.wrong_pin")
        await says(t, "mobile.last_try")
        await t.until("link")
        await asyncio.sleep(310)  # nor does anybody try it while the link is watched
        assert t.modem.tries == 1 and t.modem.sim == "pin"
        await t.power_off()
        await t.power_on()
        await asyncio.sleep(30)
        assert t.modem.tries == 1

    tell(story)


def test_a_modem_unplugged_in_the_middle_is_told() -> None:
    async def story(t: Linked) -> None:
        t.modem.sim, t.modem.sim_pin = "pin", "4711"
        await t.power_on()
        await t.open_link(2)
        await t.choose(1)
        await says(t, "mobile.asks")
        await t.until("secret")
        await t.press(*"4711")
        gone = {name: t.rack._seats.pop(name) for name in ("modem", "modem_data")}
        await t.press(ENTER)
        await says(t, "error.modem")
        await t.until("link")
        assert "modem silent" in t.text
        t.rack._seats.update(gone)
        assert t.modem.tries == 3
        await t.choose(1, code=False)
        await types_pin(t, "4711")
        await says(t, "mobile.opened")
        await says(t, "link.works", leave=False)

    tell(story)


def test_a_dead_modem_is_told_and_its_wait_can_be_left() -> None:
    async def story(t: Linked) -> None:
        t.modem.faults.mute = True
        await t.power_on()
        await t.open_link(2)
        await t.choose(1)
        await says(t, "error.modem")
        await t.until("link")

    tell(story)


def test_access_point_and_roaming() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "mobile")
        await t.open_link(2)
        await t.choose(2)
        await t.until("menu")
        await t.press("2")
        await t.until("typed")
        await t.press(*["clear"] * 5)
        await t.press(ENTER)
        await t.when(lambda _: "mobile.bad_apn" in t.keys_shown(), "refused")
        await t.type("shop.iot")
        await t.press(ENTER)
        await t.when(lambda _: "mobile.login_question" in t.keys_shown(), "the log-in")
        await t.press(CANCEL)
        await says(t, "link.works")
        await t.when(lambda _: "link.test_question" in t.keys_shown(), "the offer")
        await t.press(CANCEL)
        await t.until("link")
        assert t.modem.context == ("IP", "shop.iot")
        await t.choose(3, code=False)
        await t.until("menu")
        await t.press("2")
        await says(t, "link.works")
        await t.when(lambda _: "link.test_question" in t.keys_shown(), "the offer")
        await t.press(CANCEL)
        await t.until("link")
        await t.choose(2, code=False)
        await t.until("menu")
        await t.press("1")  # by the SIM
        await says(t, "link.works", leave=False)
        assert t.modem.context == ("IP", "")
        assert notes(t) == [
            "supervisor: mobile APN", "supervisor: mobile roaming off", "supervisor: mobile APN"
        ]  # fmt: skip
        await t.power_off()
        t.modem.faults.registration = 5  # abroad
        await t.power_on()
        await t.when(lambda _: t.way("mobile").cause == "no_service", "no roaming", 200)

    tell(story)


def test_a_link_that_rests_is_set_up_without_being_started() -> None:
    async def story(t: Linked) -> None:
        t.cold = ("mobile",)
        await t.power_on()
        await comes_up(t, "wifi")
        await t.open_link(2)
        await t.choose(2)
        await t.until("menu")
        await t.press("1")
        await says(t, "link.kept")
        await t.when(lambda _: "link.test_question" in t.keys_shown(), "the offer")
        await t.press(CANCEL)
        await t.until("link")
        assert not [line for line in t.modem.log if line.startswith("ATD")]
        t.rack.radio.air = []
        await comes_up(t, "mobile")
        assert t.modem.context == ("IP", "")

    tell(story)


def test_short_messages_are_listed_the_newest_first() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "mobile")
        await t.open_link(2)
        await t.choose(6)
        await says(t, "mobile.no_messages")
        await t.until("link")
        for pdu in (CHINESE, HELLO, b"00FFFF"):
            t.modem.receive_message(pdu.decode())
        await t.choose(6, code=False)
        assert _lines(await t.until("choose")) == ["27838890001", "+8613800138005"]
        assert t.modem.messages == {}, "taken"
        await t.press("2")
        told = _lines(await t.until("info"))
        assert [left for left, _ in told] == ["+8613800138005", "2026-11-11 12:45", "OK验证码"]
        await t.press(CANCEL)
        await t.until("choose")
        for _ in range(30):
            t.modem.receive_message(HELLO.decode())
        await t.press(CANCEL)
        await t.until("link")
        await t.choose(6, code=False)
        assert len(_lines(await t.until("choose"))) == 20, "bounded, with the newest"
        await t.press(CANCEL)
        await t.until("link")
        t.modem.faults.mute = True
        await t.choose(6, code=False)
        await t.until("message", limit_s=60)
        assert "error.modem" in t.keys_shown()
        await t.press(ENTER)
        assert len(_lines(await t.until("choose"))) == 20, "what is kept stays"

    tell(story)


def test_no_messages_through_the_only_port_of_a_call() -> None:
    async def story(t: Linked) -> None:
        await t.power_on()
        await comes_up(t, "mobile")
        await t.open_link(2)
        await t.choose(6)
        await says(t, "mobile.in_call")
        await t.until("link")

    tell(story, ports=1)


def _lines(tree: dict[str, Any]) -> list[Any]:
    (node,) = [one for one in tree["nodes"] if one["kind"] in ("menu", "lines")]
    return list(node["items"])
