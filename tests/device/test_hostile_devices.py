"""Chips that answer garbage or nothing, from the start or in service, whole device."""

import asyncio
import random
from collections.abc import Callable

import pytest

from host_tools.emulator.chips.errors import ChipError
from tests.support import virtual_time
from tests.support.handheld import Handheld
from tests.support.hostile import clean_screens

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

DRAW = random.Random(3)


def _silent(op: int, payload: bytes) -> tuple[bytes, int]:
    raise ChipError("no answer")


GARBAGE: dict[str, Callable[[int, bytes], tuple[bytes, int]]] = {
    "silent": _silent,
    "empty": lambda op, payload: (b"", 0),
    "noise": lambda op, payload: (DRAW.randbytes(DRAW.randint(0, 40)), 0),
    "ones": lambda op, payload: (b"\xff" * 16, 0),
    "huge": lambda op, payload: (b"\x5a" * 70_000, 0),
}
#: Bus: text keys of which one is shown when its chip fails at boot, in service.
BUSES: dict[str, tuple[set[str], set[str]]] = {
    "gpio": (
        {"error.keypad", "error.tamper", "error.tamper_sensor"},
        {"error.keypad", "error.tamper", "error.tamper_sensor"},
    ),
    "i2c": ({"error.clock", "error.clock_wrong"}, {"error.clock", "error.clock_wrong"}),
    "trng": ({"error.entropy"}, {"error.entropy"}),
    "card": ({"error.reader"}, {"error.reader"}),
    "net": (set(), {"error.network_link", "error.network", "error.network_host"}),
}
#: The rest is for the soak: each costs a whole boot.
HOW = [
    pytest.param(how, marks=() if how in ("silent", "noise") else pytest.mark.soak)
    for how in GARBAGE
]


class _Chip:
    def __init__(self, answer: Callable[[int, bytes], tuple[bytes, int]]) -> None:
        self.transfer = answer


def _replace(t: Handheld, bus: str, how: str) -> None:
    t.rack._seats[bus] = _Chip(GARBAGE[how])


async def _try_a_sale(t: Handheld) -> set[str]:
    """Key in a sale as far as the terminal goes along; every text key seen."""
    seen = set(t.keys_shown())
    await t.press(*"1234", "enter")
    for _ in range(20):
        await asyncio.sleep(3)
        seen |= t.keys_shown()
        if t.screen["screen"] == "present_card":
            t.insert("approve")
        if t.screen["screen"] == "remove_card":
            t.remove()
    t.remove()
    return seen


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("bus", BUSES)
def test_a_chip_broken_at_boot_is_named(bus: str, how: str) -> None:
    async def story() -> None:
        t = Handheld()
        honest = t.rack._seats[bus]
        _replace(t, bus, how)
        await t.power_on()
        await asyncio.sleep(1)  # the first idle screen stands before its devices are asked
        if BUSES[bus][0]:
            assert t.keys_shown() & BUSES[bus][0], t.text
        await _try_a_sale(t)
        assert t.books() == []
        await t.until("idle", "message")
        clean_screens(t)
        await t.power_off()
        t.rack._seats[bus] = honest  # repaired: nothing is left of it
        await t.power_on()
        await t.pay("100", "no-cvm")
        assert "result.approved" in t.keys_shown()
        await t.power_off()

    virtual_time.run(story())


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("bus", BUSES)
def test_a_chip_that_breaks_in_service_is_named(bus: str, how: str) -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        _replace(t, bus, how)
        seen = await _try_a_sale(t)
        assert seen & BUSES[bus][1], (seen, t.text)
        assert t.books() == []
        await asyncio.sleep(120)
        await t.until("idle", "message")
        clean_screens(t)
        await t.power_off()

    virtual_time.run(story())


@pytest.mark.parametrize("how", GARBAGE)
def test_a_printer_of_garbage_gates_no_payment(how: str) -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        _replace(t, "printer", how)
        await t.pay("1234", "approve")
        assert "result.approved" in t.keys_shown()
        t.remove()
        await t.until("question")
        await t.press("cancel")
        await t.until("idle")
        assert [row[1:] for row in t.books()] == [(1234, "approved")]
        await t.power_off()

    virtual_time.run(story())


@pytest.mark.parametrize("from_boot", [False, True])
def test_a_silent_tamper_sensor_stops_payments_and_erases_nothing(from_boot: bool) -> None:
    async def story() -> None:
        t = Handheld()
        pin = t.rack.board["tamper"]["pin"]
        honest = t.rack.pins.transfer

        def without_the_sensor(op: int, payload: bytes) -> tuple[bytes, int]:
            if op == 2 and payload[0] == pin:
                raise ChipError("no answer")
            return honest(op, payload)

        if not from_boot:
            await t.power_on()
        t.rack.pins.transfer = without_the_sensor  # type: ignore[method-assign]
        if from_boot:
            await t.power_on()
        seen = await _try_a_sale(t)
        assert "error.tamper_sensor" in seen
        assert "error.tamper" not in seen
        assert t.books() == []
        t.rack.pins.transfer = honest  # type: ignore[method-assign]
        await t.until("idle", "message")
        await t.press("cancel")
        await t.when(
            lambda tree: tree["screen"] == "idle" and "error.tamper_sensor" not in t.keys_shown(),
            "the fault gone from the idle screen",
        )
        await t.pay("100", "no-cvm")
        assert "result.approved" in t.keys_shown()
        await t.power_off()

    virtual_time.run(story())


def test_a_reader_that_comes_back_is_used_again() -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        t.rack.slot.broken = True
        await t.when(  # the menu stays in reach
            lambda tree: tree["screen"] == "idle" and "error.reader" in t.keys_shown(),
            "the reader named on the idle screen",
        )
        await t.press("menu")
        await t.until("menu")
        await t.press("cancel")
        t.rack.slot.broken = False
        await t.when(
            lambda tree: tree["screen"] == "idle" and "error.reader" not in t.keys_shown(),
            "the fault gone",
        )
        await t.pay("100", "no-cvm")
        assert "result.approved" in t.keys_shown()
        await t.power_off()

    virtual_time.run(story())
