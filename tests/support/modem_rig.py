"""A modem's driver and its virtual chip, joined at the serial wires."""

import asyncio

from firmware import aio
from firmware.buses.data_line import Carrier, DataLine, Restart
from firmware.buses.serial_again import ReopenedSerial
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WireSerial
from firmware.drivers.at_modem import AtModem
from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.modem_pty import EchoEnd

#: How long the ports are gone after a restart from outside.
AWAY_US = 4_000_000


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
            name, value = await aio.first(
                ("echo", self._heard(said.upper())), timeout_ms=timeout_ms
            )
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
        #: A USB device is gone from the bus while it restarts.
        self.away_until = 0
        #: Open files of before a restart are dead, as those of a tty are.
        self.generation = 0

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        if self.unplugged or now_us() < self.away_until:
            raise BusError("modem: unplugged")
        try:
            return self.chip.port(int(bus[-1])).transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from None


class _OpenTty(WireSerial):
    """A port that dies when its modem leaves the bus."""

    def __init__(self, wire: ModemWire, number: int) -> None:
        super().__init__(wire, f"modem{number}", 115200)
        self._modem = wire
        self._born = wire.generation

    def _check(self) -> None:
        if self._born != self._modem.generation:
            raise BusError("modem: this port is gone")

    async def write(self, data: bytes) -> int:
        self._check()
        return await super().write(data)

    async def read(self, most: int, timeout_ms: int | None = None) -> bytes:
        self._check()
        return await super().read(most, timeout_ms)


class Act(Restart):
    """A restart from outside that the chip feels."""

    def __init__(self, wire: ModemWire, level: str) -> None:
        self._wire = wire
        self._level = level

    async def cycle(self) -> None:
        self._wire.chip.act(self._level)
        self._wire.away_until = now_us() + AWAY_US
        self._wire.generation += 1


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
        self.far: list[EchoEnd] = []
        #: How often a port was opened.
        self.opened = 0
        self.chip = AtModemChip(now_us, family, ports, self._dial, seed)
        self.wire = ModemWire(self.chip)
        self.carrier = EchoCarrier()
        acts = {level: Act(self.wire, level) for level in outside}
        serials = [ReopenedSerial(lambda n=n: self._opened(n)) for n in range(ports)]  # type: ignore[misc]  # mypy on lambdas with defaults
        self.modem = AtModem(
            serials[0], self.carrier, "cmnet", pin, serials[1] if ports > 1 else None, roaming,
            acts.get("usb"), acts.get("power"),
        )  # fmt: skip

    def _opened(self, number: int) -> WireSerial:
        port = _OpenTty(self.wire, number)
        self.opened += 1
        return port

    def _dial(self) -> EchoEnd:
        self.far.append(EchoEnd())
        return self.far[-1]
