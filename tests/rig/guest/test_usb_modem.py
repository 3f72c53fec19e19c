"""A modem of four serial functions, as a Quectel EC25 is, under the kernel's option driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import pytest

from firmware import aio
from firmware.buses.data_line import Carrier
from firmware.buses.ppp_linux import PppCarrier
from firmware.buses.serial_again import ReopenedSerial
from firmware.buses.usb_linux import UsbPort
from firmware.drivers.at_modem import AtModem
from firmware.hal import bearer
from firmware.hal.bearer import BearerMute
from host_tools.emulator.chips.net import Endpoint
from host_tools.emulator.modem_pty import EchoEnd
from tests.rig.guest.ppp_far import NEAR, SERVER, CallEnd, goes_through, reached
from tests.rig.guest.usb_modem import AT, CALL, UsbModem, opened, place, there
from tests.rig.guest.waiting import Story, until
from tests.support.modem_rig import EchoCarrier

LIMIT_MS = 100_000


C = TypeVar("C", bound=Carrier)


@contextmanager
def plugged(far: Callable[[], Endpoint]) -> Iterator[UsbModem]:
    """A modem on the bus, ``far`` at the end of its calls."""
    usb = UsbModem(far)
    try:
        usb.plug()
        yield usb
    finally:
        usb.close()


@pytest.fixture
def usb(need: Callable[..., None]) -> Iterator[UsbModem]:
    need("dummy_hcd", "libcomposite", "usb_f_serial", "option")
    with plugged(EchoEnd) as usb:
        yield usb


@pytest.fixture
def usb_to_network(need: Callable[..., None]) -> Iterator[UsbModem]:
    need("dummy_hcd", "libcomposite", "usb_f_serial", "option", "ppp_generic", "ppp_async")
    with plugged(CallEnd) as usb:
        yield usb


def run(story: Callable[[AtModem, EchoCarrier], Story], restart: bool = False) -> None:
    """``restart``: the board can take the modem from the bus."""
    run_with(EchoCarrier(), story, restart)


def run_with(carrier: C, story: Callable[[AtModem, C], Story], restart: bool = False) -> None:
    """``carrier`` makes a network of the modem's calls."""

    async def main() -> None:
        ports = [ReopenedSerial(partial(opened, number)) for number in (AT, CALL)]
        modem = AtModem(
            ports[0], carrier, "internet", data_port=ports[1],
            usb=UsbPort(place()) if restart else None,
        )  # fmt: skip
        try:
            await aio.deadline(LIMIT_MS, story(modem, carrier), "the story")
        finally:
            await modem.stop()
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
        usb.unplug()
        until(lambda: not there(AT), "the end of the ports")
        assert (await modem.status()).cause == "mute"
        await modem.stop()
        with pytest.raises(BearerMute, match="serial port"):
            await modem.start(10_000)
        usb.plug()
        await started(modem)
        assert await carrier.alive(5000)

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

    run(story, restart=True)


def test_ppp_in_the_call_over_a_bad_line(usb_to_network: UsbModem) -> None:
    """Our AT driver and pppd at one end, another pppd in a network with netem at the other."""

    async def story(modem: AtModem, carrier: PppCarrier) -> None:
        await modem.start(60_000)
        status = await modem.status()
        assert (status.state, status.address) == (bearer.UP, NEAR) and SERVER in status.dns
        call = usb_to_network.chip.port(1).call
        assert isinstance(call, CallEnd)
        call.network.serve()
        call.network.weather(250, 100, 10)
        stream = await reached(modem.interface)
        await goes_through(stream, 4000)
        stream.close()
        await modem.stop()
        assert (await modem.status()).state == bearer.DOWN
        assert not carrier.interface
        until(lambda: usb_to_network.chip.port(1).call is None, "the end of the call")
        await modem.start(60_000)
        assert (await modem.status()).state == bearer.UP, "and called again"

    run_with(PppCarrier(), story)
