"""A modem's driver and its virtual chip, joined at the serial wires."""

import asyncio

from firmware import aio
from firmware.buses.data_line import Carrier, DataLine, Restart
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WireSerial
from firmware.drivers.at_modem import AtModem
from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.chips.errors import ChipError


class Echo:
    """The far end of a call: gives back what it gets."""

    def __init__(self) -> None:
        self.closed = False
        self._back = b""

    def feed(self, data: bytes) -> None:
        self._back += data

    def take(self) -> bytes:
        data, self._back = self._back, b""
        return data

    def close(self) -> None:
        self.closed = True


class EchoCarrier(Carrier):
    """In place of PPP: a call is up when the far end gives back a line."""

    def __init__(self) -> None:
        self._line: DataLine | None = None
        self._count = 0

    async def up(self, line: DataLine) -> str:
        self._line = line
        if not await self.alive(5000):
            raise BusError("the far end says nothing")
        return "10.64.0.7"

    async def down(self) -> None:
        self._line = None

    async def alive(self, timeout_ms: int) -> bool:
        """Whether bytes come back end to end."""
        if self._line is None:
            return False
        self._count += 1
        said = b"~probe %d~" % self._count  # frames end with a flag, as those of PPP do
        try:
            await self._line.write(said)
            name, value = await aio.first(("echo", self._heard(said)), timeout_ms=timeout_ms)
        except BusError:
            return False
        return name == "echo" and bool(value)

    async def _heard(self, said: bytes) -> bool:
        assert self._line is not None
        got = b""
        while said not in got:
            part = await self._line.read(512)
            if not part:
                return False
            got = (got + part)[-4096:]
        return True


class ModemWire(Wire):
    """The modem's ports as wire buses "modem0", "modem1"."""

    def __init__(self, chip: AtModemChip) -> None:
        self.chip = chip
        self.unplugged = False

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        if self.unplugged:
            raise BusError("modem: unplugged")
        try:
            return self.chip.port(int(bus[-1])).transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from None


class Act(Restart):
    """A restart from outside that the chip feels."""

    def __init__(self, chip: AtModemChip, level: str) -> None:
        self._chip = chip
        self._level = level

    async def cycle(self) -> None:
        self._chip.act(self._level)


def now_us() -> int:
    """The running loop's clock."""
    return int(asyncio.get_running_loop().time() * 1_000_000)


class ModemRig:
    """Chip, wire, carrier and driver."""

    def __init__(
        self,
        family: str = "ec25",
        ports: int = 2,
        pin: str = "",
        outside: tuple[str, ...] = ("usb", "power"),
        roaming: bool = True,
        seed: int = 1,
    ) -> None:
        self.far: list[Echo] = []
        self.chip = AtModemChip(now_us, family, ports, self._dial, seed)
        self.wire = ModemWire(self.chip)
        self.carrier = EchoCarrier()
        acts = {level: Act(self.chip, level) for level in outside}
        serials = [WireSerial(self.wire, f"modem{n}", 115200) for n in range(ports)]
        self.modem = AtModem(
            serials[0], self.carrier, "cmnet", pin, serials[1] if ports > 1 else None, roaming,
            acts.get("usb"), acts.get("power"),
        )  # fmt: skip

    def _dial(self) -> Echo:
        self.far.append(Echo())
        return self.far[-1]
