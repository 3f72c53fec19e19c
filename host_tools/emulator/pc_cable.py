"""The cable from the virtual terminal to a PC: a pseudo-terminal, or a port of loopback.

A PC's tools connect to ``target`` as they would to a terminal at a USB port. Unplugging takes
the port away from them, as a cable does; plugged again it is there under the same name.
"""

import asyncio
import contextlib
import os
from pathlib import Path

from host_tools.emulator.chips.serial_line import SerialLine
from host_tools.errors import UserError

#: How often a line with bytes under way is looked at.
LOOK_S = 0.002
#: A PC that does not read for so long has gone: what it was sent is dropped.
STALE_S = 2.0
READ = 4096
#: More than the terminal has not read yet is not taken from the PC.
MOST_GOING = 65_536


class PcCable:
    """One end on the rack's ``line``. Not open before ``open``."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        self._stirred = asyncio.Event()
        line.on_out = self._stirred.set
        self._link: Path | None = None
        self._port: int | None = None
        self._handles: list[int] = []
        self._server: asyncio.Server | None = None
        self._peer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        #: Where a PC connects: a device's path or ``tcp://127.0.0.1:N``; "" while closed.
        self.target = ""

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""
        return self.target != "" and not self._line.unplugged

    async def open(self, link: Path, port: int | None = None) -> None:
        """Offer a pseudo-terminal under the name ``link``, or with ``port`` that port of
        127.0.0.1 (0: any). UserError when it cannot be had."""
        self._link, self._port = link, port
        await self._offer()
        self._tasks.append(asyncio.create_task(self._pump()))

    async def plug(self, wanted: bool) -> None:
        """Pull the cable out, or put it in. UserError as ``open``."""
        if not self.target or wanted == self.plugged:
            return
        self._line.unplugged = not wanted
        if wanted:
            await self._offer()
        else:
            await self._withdraw()
        self._line.take()

    async def close(self) -> None:
        """Take everything away."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._withdraw()
        self.target = ""

    # ---- the PC's end -----------------------------------------------------------------

    async def _offer(self) -> None:
        if self._port is not None:
            try:
                self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            except OSError as error:
                raise UserError(
                    f"port {self._port} for the PC cannot be had: {error.strerror}; "
                    "choose another with --pc-port"
                ) from None
            self._port = self._server.sockets[0].getsockname()[1]
            self.target = f"tcp://127.0.0.1:{self._port}"
            return
        import tty  # no such module on Windows

        assert self._link is not None
        # Our end of the other side stays open: a PC that closes it is no hang-up.
        master, slave = os.openpty()
        self._handles = [master, slave]
        tty.setraw(slave)
        tty.setraw(master)
        os.set_blocking(master, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(slave))
        self.target = str(self._link)
        asyncio.get_running_loop().add_reader(master, self._readable)

    async def _withdraw(self) -> None:
        if self._handles:
            asyncio.get_running_loop().remove_reader(self._handles[0])
            for handle in self._handles:
                os.close(handle)
            self._handles = []
            if self._link is not None:
                self._link.unlink(missing_ok=True)
        if self._peer is not None:
            self._peer.close()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _readable(self) -> None:
        master = self._handles[0]
        if self._line.going > MOST_GOING:
            loop = asyncio.get_running_loop()
            loop.remove_reader(master)
            loop.call_later(LOOK_S, self._read_again, master)
            return
        with contextlib.suppress(BlockingIOError):
            self._line.feed(os.read(master, READ))

    def _read_again(self, master: int) -> None:
        if self._handles and self._handles[0] == master:
            asyncio.get_running_loop().add_reader(master, self._readable)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._peer is not None:  # a cable has one end
            writer.close()
            return
        self._peer = writer
        self._line.take()  # what was said to nobody
        try:
            while data := await reader.read(READ):
                self._line.feed(data)
                while self._line.going > MOST_GOING:
                    await asyncio.sleep(LOOK_S)
        except ConnectionError:
            pass  # it hung up
        finally:
            self._peer = None
            writer.close()

    # ---- the terminal's words ---------------------------------------------------------

    async def _pump(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._line.coming:
                data = self._line.take()
                if data:
                    await self._write(data)
                else:
                    await asyncio.sleep(LOOK_S)

    async def _write(self, data: bytes) -> None:
        """To whoever is there; to nobody, it is lost, as on a cable."""
        if self._port is not None:
            if self._peer is not None:
                self._peer.write(data)
                with contextlib.suppress(ConnectionError):
                    await self._peer.drain()
            return
        loop = asyncio.get_running_loop()
        last = loop.time()
        while data and self._handles and loop.time() - last < STALE_S:
            try:
                data = data[os.write(self._handles[0], data) :]
                last = loop.time()
            except BlockingIOError:
                await asyncio.sleep(LOOK_S)
