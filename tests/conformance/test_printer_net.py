"""Conformance of hal.printer: what a printer on the network does beside the others."""

from functools import partial

import pytest

from firmware import aio
from firmware.buses.net_port import NetPort
from firmware.buses.wire_net import WireNet
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile
from firmware.hal.printer import PrinterError, PrinterMissing
from tests.support import net_printer, rig, virtual_time

run = partial(virtual_time.run, descriptors=True)
LONG = [("text", f"line {i} 第{i}行", "") for i in range(150)]


def test_a_lost_connection_ends_the_document_and_the_next_begins_anew() -> None:
    async def main() -> None:
        printer, rack = net_printer.on_the_network()
        for after in (1, 40, 700, 2000):
            rack.net.cut_after_sent = after
            with pytest.raises(PrinterMissing) as caught:
                await printer.print(LONG)
            rack.net.cut_after_sent = None
            await aio.sleep_ms(10_000)
            lines = rack.printer.paper.tear().lines
            assert caught.value.done <= len(lines)
            await printer.print([("text", "next", "")])
            assert rack.printer.paper.tear().lines[-1] == "next"

    run(main())


def test_a_line_that_dies_silently_is_named() -> None:
    async def main() -> None:
        printer, rack = net_printer.on_the_network()
        rack.net.cut_silently = True
        rack.net.cut_after_sent = 6000
        with pytest.raises(PrinterError) as caught:
            await printer.print(LONG * 3)
        assert 0 < caught.value.done < 3 * len(LONG)
        assert (
            rack.printer.paper.lines[caught.value.done - 1] == (LONG * 3)[caught.value.done - 1][1]
        )

    run(main())


def test_a_printer_that_refuses_or_is_not_there_is_missing() -> None:
    async def main() -> None:
        rack = rig.rack()
        server = net_printer.PrinterServer(rack)
        rack.net.dial = server.dial
        other = EscposPrinter(NetPort(WireNet(rack), "nobody.lan"), Profile())
        printer = EscposPrinter(NetPort(WireNet(rack), "printer.lan"), Profile())
        server.open = 1  # somebody else prints
        for wrong in (other, printer):
            with pytest.raises(PrinterMissing, match="no connection"):
                await wrong.status()
            with pytest.raises(PrinterMissing, match="no connection"):
                await wrong.print(LONG)
        server.open = 0
        rack.net.link(False)
        with pytest.raises(PrinterMissing):
            await printer.print(LONG)
        rack.net.link(True)
        await printer.print([("text", "now", "")])
        assert rack.printer.text() == "now"
        assert server.open == 0  # others may print now

    run(main())


def test_a_printer_that_is_not_there_for_ever_is_given_up() -> None:
    async def main() -> None:
        printer, rack = net_printer.on_the_network()
        rack.net.latency_us = 60_000_000
        with pytest.raises(PrinterMissing, match="connecting took longer"):
            await printer.print(LONG)

    run(main())


def test_a_slow_network_only_takes_longer() -> None:
    async def main() -> None:
        printer, rack = net_printer.on_the_network()
        rack.net.bandwidth = 20_000
        rack.net.latency_us = 100_000
        await printer.print(LONG)
        assert rack.printer.paper.lines[: len(LONG)] == [line for _, line, _ in LONG]

    run(main())
