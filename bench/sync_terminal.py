"""The terminal's end of bench_sync: a journal in memory behind a pseudo-terminal.

    python -m bench.sync_terminal RECORDS FAULTS    (one packet in FAULTS is spoilt; 0: none)

Prints the port's path, its key and the journal's bytes; ends with its standard input.
"""

import asyncio
import errno
import json
import os
import random
import sys
import tty
from typing import Any

from firmware import aio
from firmware.hal.pc_pipe import PcPipe
from tests.support.journal_terminal import JournalTerminal
from tests.support.pc_terminal import PC_KEY, Asked, PcTerminal

PIECE = 24576
#: Frames that are longer carry DATA; what acknowledges is left alone.
_DATA = 200


def journal(records: int) -> JournalTerminal:
    """Payments of five records each, printed slips among them."""
    made = JournalTerminal()
    while made.sequence < records:
        made.add(12, {34: "merchant", 1: made.sale()})
    return made


def pieces(made: JournalTerminal, after: int) -> list[dict[int, Any]]:
    """Items as LinkJournal packs them."""
    items: list[dict[int, Any]] = []
    for one in made.kept:
        if one.sequence <= after:
            continue
        if items and len(items[-1][3]) + len(one.raw) <= PIECE:
            items[-1][3] += one.raw
        else:
            items.append({1: one.sequence, 2: one.epoch, 3: bytearray(one.raw), 4: one.before})
    return [item | {3: bytes(item[3])} for item in items]


class Master(PcPipe):
    """A pseudo-terminal's master. Each ``faults``-th packet of data loses a byte's sense."""

    def __init__(self, faults: int) -> None:
        self.fd, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.fd, False)
        self._faults = faults
        self._draw = random.Random(1)

    async def _ready(self, writing: bool) -> None:
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        add, remove = (
            (loop.add_writer, loop.remove_writer)
            if writing
            else (loop.add_reader, loop.remove_reader)
        )
        add(self.fd, news.set)
        try:
            await news.wait()
        finally:
            remove(self.fd)

    async def read(self, most: int) -> bytes:
        while True:
            try:
                return os.read(self.fd, most)
            except BlockingIOError:
                await self._ready(False)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                await aio.sleep_ms(20)

    async def write(self, data: bytes) -> None:
        if self._faults:
            data = b"\0".join(map(self._spoilt, data.split(b"\0")))
        while data:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                await self._ready(True)

    def _spoilt(self, frame: bytes) -> bytes:
        if len(frame) < _DATA or self._draw.randrange(self._faults):
            return frame
        at = self._draw.randrange(len(frame))
        return frame[:at] + bytes((frame[at] ^ 0x55 or 1,)) + frame[at + 1 :]


async def _main(records: int, faults: int) -> None:
    made = journal(records)
    items = pieces(made, 0)
    head = {1: made.sequence, 2: made.epoch, 3: made.chain}

    async def read(asked: Asked) -> None:
        for item in items if not asked.arguments[1] else []:
            await asked.item(item)
        await asked.end(head)

    async def acknowledge(asked: Asked) -> None:
        await asked.end()

    pipe = Master(faults)
    there = PcTerminal({"journal_read": read, "journal_ack": acknowledge}, pipe=pipe)
    there.pairs[PC_KEY.public] = ["sync"]
    there.extra_hello = {3: made.sequence, 4: made.epoch, 5: made.chain}
    there.run()
    size = sum(len(one.raw) for one in made.kept)
    told = {"path": os.ttyname(pipe.slave), "key": there.key.public.hex(), "bytes": size}
    print(json.dumps(told | {"records": made.sequence}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await there.stop()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
