"""A modem of four serial functions, as a Quectel EC25 is, under the kernel's option driver."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest

from firmware import aio
from firmware.buses.serial_again import ReopenedSerial
from firmware.buses.usb_linux import UsbPort
from firmware.drivers.at_modem import AtModem
from firmware.hal import bearer
from firmware.hal.bearer import BearerMute
from tests.rig.guest.usb_modem import AT, CALL, UsbModem, opened, place, there
from tests.rig.guest.waiting import until
from tests.support.modem_rig import EchoCarrier

LIMIT_MS = 100_000


@pytest.fixture
def usb(need: Callable[..., None]) -> Iterator[UsbModem]:
    need("dummy_hcd", "libcomposite", "usb_f_serial", "option")
    usb = UsbModem()
    try:
        usb.plug()
        yield usb
    finally:
        usb.close()


def run(story: Callable[[AtModem, EchoCarrier], Awaitable[None]], restart: bool = False) -> None:
    """``restart``: the board can take the modem from the bus."""

    async def main() -> None:
        carrier = EchoCarrier()
        ports = [ReopenedSerial(partial(opened, number)) for number in (AT, CALL)]
        modem = AtModem(
            ports[0], carrier, "internet", data_port=ports[1],
            usb=UsbPort(place()) if restart else None,
        )  # fmt: skip
        try:
            await aio.deadline(LIMIT_MS, story(modem, carrier), "the story")  # type: ignore[arg-type]
        finally:
            for one in ports:
                await one.close()

    aio.run(main())


async def started(modem: AtModem) -> None:
    """As the supervisor does it: again while the modem boots."""
    while True:
        try:
            return await modem.start(40_000)
        except BearerMute:
            await aio.sleep_ms(1000)


def test_up_with_an_address_and_answers_during_the_call(usb: UsbModem) -> None:
    async def story(modem: AtModem, carrier: EchoCarrier) -> None:
        await modem.start(40_000)
        assert await carrier.alive(5000)
        status = await modem.status()
        assert (status.state, status.address) == (bearer.UP, "10.64.0.7")
        assert status.operator == "OPEN MOBILE" and status.bars > 0
        assert await carrier.alive(5000)
        await modem.stop()
        assert (await modem.status()).state == bearer.DOWN

    run(story)


def test_a_modem_pulled_out_of_its_call_is_mute_and_comes_back(usb: UsbModem) -> None:
    async def story(modem: AtModem, carrier: EchoCarrier) -> None:
        await modem.start(40_000)
        usb.gadget.unplug()
        until(lambda: not there(AT), "the end of the ports")
        assert (await modem.status()).cause == "mute"
        await modem.stop()
        with pytest.raises(BearerMute, match="serial port"):
            await modem.start(10_000)
        usb.plug()
        await started(modem)
        assert await carrier.alive(5000)
        await modem.stop()

    run(story)


def test_a_silent_modem_is_taken_from_the_bus_and_given_back(usb: UsbModem) -> None:
    """The kernel's ``authorized`` file: the ladder's rung between commands and the power key."""

    async def story(modem: AtModem, carrier: EchoCarrier) -> None:
        assert "usb" in modem.levels
        await modem.start(40_000)
        with usb.lock:
            usb.chip.faults.mute = True
            usb.chip.faults.cured_by = frozenset({"usb"})
        assert (await modem.status()).cause == "mute"
        before = usb.resets
        await modem.reset("usb", 60_000)
        assert usb.resets == before + 1
        assert (await modem.status()).state == bearer.UP
        assert await carrier.alive(5000)
        await modem.stop()

    run(story, restart=True)
