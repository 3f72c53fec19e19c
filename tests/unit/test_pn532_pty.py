"""The PN532 on a real serial port: Linux's bus with its threads, over a pseudo-terminal."""

from __future__ import annotations

from typing import Any

import pytest

from firmware import aio
from firmware.buses.serial_linux import LinuxSerial
from firmware.drivers.pn532 import Pn532
from firmware.drivers.pn532_port import SerialPn532
from firmware.drivers.pn532_reader import Pn532Reader
from firmware.hal.card_reader import CardRemoved, ReaderMissing
from firmware.hal.contactless import NoTap
from host_tools.emulator import deck
from host_tools.emulator.chips import pn532
from host_tools.emulator.modem_pty import ModemServer, now_us

PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"


class OnePort:
    """The chip as the server of pseudo-terminals wants it: by number of its port."""

    def __init__(self) -> None:
        self.chip = pn532.Pn532(now_us)

    def port(self, number: int) -> pn532.Pn532Serial:
        return self.chip.serial


def test_taps_over_a_pseudo_terminal() -> None:
    async def main() -> None:
        behind: Any = OnePort()
        async with ModemServer(behind, 1) as server:
            port = LinuxSerial(server.paths[0], 115200)
            reader = Pn532Reader(Pn532(SerialPn532(port)))
            with pytest.raises(NoTap):
                await reader.wait_tap(50)
            for kind in "AB":
                card = deck.load().cards["approve"].make_card()
                card.contactless = kind
                behind.chip.put(card)
                channel = await reader.wait_tap(10_000)
                assert channel.kind == kind
                assert (await channel.transmit(PPSE))[1] == 0x9000
                card.tear_next()
                with pytest.raises(CardRemoved):
                    await channel.transmit(PPSE)
            behind.chip.stalled = True
            with pytest.raises(ReaderMissing):
                await reader.wait_tap(10_000)
            behind.chip.stalled = False
            with pytest.raises(NoTap):
                await reader.wait_tap(50)
            await reader.close()
            await reader.close()

    aio.run(aio.deadline(60_000, main(), "the test"))
