"""The virtual modem on pseudo-terminals or serial devices, in real time.

    python -m host_tools.emulator.modem_pty --family ec25 --ports 2

prints one path a port and serves until it is interrupted; ``--device`` (once a
port) serves on existing devices, such as /dev/ttyGS0 of a USB gadget. What is
sent in a call comes back in capitals.
"""

import argparse
import asyncio
import contextlib
import os
import tty
from types import TracebackType

from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.chips.modem_families import FAMILIES

#: How often the modem is asked for what it has to say.
LOOK_S = 0.002


class EchoEnd:
    """The far end of a call: gives back what it gets, letters in capitals, so that
    nobody takes a modem's own echo for it."""

    def __init__(self) -> None:
        self.closed = False
        self._back = b""

    def feed(self, data: bytes) -> None:
        """Bytes of the call."""
        self._back += data.upper()

    def take(self) -> bytes:
        """What is to go back."""
        data, self._back = self._back, b""
        return data

    def close(self) -> None:
        """The call ended."""
        self.closed = True


def now_us() -> int:
    """Microseconds of the running loop."""
    return int(asyncio.get_running_loop().time() * 1_000_000)


class ModemServer:
    """Each port of ``chip`` on a pseudo-terminal of its own, or on ``devices``.

    ``paths``: where to open them. Used as an asynchronous context.
    """

    def __init__(self, chip: AtModemChip, ports: int, devices: "list[str] | None" = None) -> None:
        self.chip = chip
        self.paths: list[str] = []
        self._open: list[int] = []
        self._masters: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []
        for number in range(ports):
            if devices:
                master = os.open(devices[number], os.O_RDWR | os.O_NOCTTY)
                self._open.append(master)
                self.paths.append(devices[number])
            else:
                # Our end of the other side stays open: a reader that closes is no hang-up.
                master, slave = os.openpty()
                self._open += [master, slave]
                self.paths.append(os.ttyname(slave))
                tty.setraw(slave)
            tty.setraw(master)
            os.set_blocking(master, False)
            self._masters.append(master)

    async def __aenter__(self) -> "ModemServer":
        for number, master in enumerate(self._masters):
            self._tasks.append(asyncio.create_task(self._serve(number, master)))
        return self

    async def __aexit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for handle in self._open:
            os.close(handle)

    async def _serve(self, number: int, master: int) -> None:
        port = self.chip.port(number)
        out = b""
        while True:
            with contextlib.suppress(BlockingIOError):
                data = os.read(master, 4096)
                while data:
                    taken = int.from_bytes(port.transfer(1, data)[0], "big")
                    data = data[taken:]
                    if data:
                        await asyncio.sleep(LOOK_S)
            out += port.transfer(2, (4096).to_bytes(2, "big"))[0]
            if out:
                with contextlib.suppress(BlockingIOError):
                    out = out[os.write(master, out) :]
            await asyncio.sleep(LOOK_S)


async def _main(family: str, ports: int, devices: "list[str]") -> None:
    chip = AtModemChip(now_us, family, ports, EchoEnd)
    async with ModemServer(chip, ports, devices) as server:
        print("\n".join(server.paths), flush=True)
        await asyncio.Event().wait()


def main() -> int:
    """The command. Exit code 0 after an interrupt, 1 when a device does not open."""
    parser = argparse.ArgumentParser(description="A virtual 4G modem on pseudo-terminals.")
    parser.add_argument("--family", choices=sorted(FAMILIES), default="ec25")
    parser.add_argument("--ports", type=int, choices=(1, 2, 3, 4), default=2)
    parser.add_argument("--device", action="append", default=[], help="serve here, once a port")
    wanted = parser.parse_args()
    ports = len(wanted.device) or wanted.ports
    try:
        asyncio.run(_main(wanted.family, ports, wanted.device))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"modem: {error}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
