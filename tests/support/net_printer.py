"""The virtual printer at port 9100 of the virtual network."""

from firmware.buses.net_port import NetPort
from firmware.buses.wire_net import WireNet
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile
from firmware.hal.printer import Printer
from host_tools.emulator.rack import Rack
from tests.support import rig


class PrinterServer:
    """A printer's network side, one connection at a time."""

    def __init__(self, rack: Rack) -> None:
        self._printer = rack.printer
        self._printer.baud = self._printer.host_baud = 921600
        self.waiting = b""
        self.open = 0
        self.closed = False

    def dial(self, host: str, port: int) -> "PrinterServer | None":
        if (host, port) != ("printer.lan", 9100) or self.open:
            return None
        self.open += 1
        return self

    def feed(self, data: bytes) -> None:
        self.waiting += data

    def take(self) -> bytes:
        taken = int.from_bytes(self._printer.transfer(1, self.waiting)[0], "big")
        self.waiting = self.waiting[taken:]
        return self._printer.transfer(2, (4096).to_bytes(2, "big"))[0]

    def close(self) -> None:
        self.take()
        self.open -= 1


def on_the_network() -> tuple[Printer, Rack]:
    """Our driver, and the rack with the printer."""
    rack = rig.rack()
    rack.net.dial = PrinterServer(rack).dial
    rack.net.latency_us = 2_000
    return EscposPrinter(NetPort(WireNet(rack), "printer.lan"), Profile()), rack
