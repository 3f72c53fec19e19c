"""Heap of the whole terminal under MicroPython, as docs/portable.md measures it.

The 32-bit unix port runs firmware.main from a mapped ROMFS image of compiled
modules, against the virtual chips and the test bank over TLS on real sockets.
mbedTLS takes its memory outside that heap on this port, so 48 KiB of the
400 KiB are left out for it. Screens and chips over the wire are included.
"""

import asyncio
import tempfile
from pathlib import Path

from bench import romfs_image
from host_tools.emulator import scripted
from host_tools.emulator.machine import Machine
from host_tools.errors import UserError
from tests.support.mpy_terminal import booted
from tests.system.test_micropython import unpacked

Row = tuple[str, float, float, str, float, str]

BOOT = Path(__file__).with_name("memory_boot.py")
KIB = 1024
WHOLE_KIB = 400
TLS_KIB = 48
HEAP_KIB = WHOLE_KIB - TLS_KIB
LEAST_BLOCK_KIB = 32
SALES = 50
CARDS = ("approve", "cda-large", "offline-pin-enciphered", "no-cvm", "signature")
#: The bisection stops at this precision.
STEP_KIB = 8
PATIENCE_S = 30.0


class Rig:
    """One terminal with so much heap; ``notes`` has a line for each idle screen."""

    def __init__(self, folder: Path, image: Path, heap_kib: int) -> None:
        self._notes = folder / "notes"
        interpreter = (
            unpacked("i386"), "-X", f"heapsize={heap_kib}K", str(BOOT), str(image),
            str(self._notes),
        )  # fmt: skip
        self.machine = Machine(folder / "terminal", "virtual-sockets", 3, interpreter)

    async def start(self) -> None:
        """Provision and boot. UserError when it does not reach the idle screen."""
        await booted(self.machine)

    async def pay(self, card: str) -> None:
        """One approved sale with the merchant's receipt. UserError when it fails."""
        m = self.machine
        done = len(m.acquirer.transactions())
        tree = await scripted.pay(m, "1234", card, ("question", "message", "idle"))
        while tree["screen"] != "remove_card":
            if tree["screen"] == "message" or not m.powered:
                raise UserError(f"the sale ended with {tree}; {m.printed_stderr[-1:]}")
            # No second copy; a signature is in order.
            name = tree["nodes"][0].get("key", "")
            await m.press("enter" if "sign" in name else "cancel")
            await m.leave(tree["screen"], PATIENCE_S)
            tree = await m.screen("question", "message", "remove_card", timeout_s=PATIENCE_S)
        m.remove()
        await m.screen("idle", timeout_s=PATIENCE_S)
        rows = m.acquirer.transactions()
        if len(rows) != done + 1 or rows[-1]["state"] != "approved":
            raise UserError("the bank did not approve the sale")

    def note(self) -> tuple[int, int, int]:
        """(heap at start, in use after a collection, largest free block), bytes."""
        last = self._notes.read_text().splitlines()[-1].split()
        return int(last[0]), int(last[1]), int(last[2])


async def _passes(image: Path, heap_kib: int) -> bool:
    """Whether the terminal boots and takes a sale with this heap."""
    with tempfile.TemporaryDirectory() as name:
        rig = Rig(Path(name), image, heap_kib)

        async def sale() -> None:
            await rig.start()
            await rig.pay("cda-large")

        work = asyncio.ensure_future(sale())
        try:
            # What fails says so on stderr at once; its screen would be waited for.
            while not work.done() and not rig.machine.printed_stderr:
                await asyncio.sleep(0.1)
            if not work.done():
                work.cancel()
            await asyncio.wait([work])
            return not work.cancelled() and work.exception() is None
        finally:
            await rig.machine.stop()


async def _least(image: Path) -> int:
    """The smallest heap in KiB that a sale passes in."""
    low, high = 128, HEAP_KIB
    while not await _passes(image, high):
        low, high = high, high * 2
    while high - low > STEP_KIB:
        middle = (low + high) // 2 // STEP_KIB * STEP_KIB
        if await _passes(image, middle):
            high = middle
        else:
            low = middle
    return high


async def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        romfs_image.compiled(folder / "code")
        image = folder / "image.romfs"
        image.write_bytes(romfs_image.image(folder / "code"))
        rig = Rig(folder, image, HEAP_KIB)
        notes = []
        try:
            await rig.start()
            notes.append(("idle after boot", rig.note()))
            for number in range(1, SALES + 1):
                await rig.pay(CARDS[number % len(CARDS)])
                if number in (1, SALES):
                    notes.append((f"after {number} sales", rig.note()))
        finally:
            await rig.machine.stop()
        least = await _least(image)
    out: list[Row] = []
    for what, (_, used, block) in notes:
        kib = round(used / KIB, 1)
        out.append((f"MicroPython heap in use, {what}", kib, HEAP_KIB, "KiB", kib / HEAP_KIB,
                    "reported"))  # fmt: skip
        free = round(block / KIB, 1)
        aim = "at least 1" if what == f"after {SALES} sales" else "reported"
        out.append((f"MicroPython largest free block, {what}", free, LEAST_BLOCK_KIB, "KiB",
                    free / LEAST_BLOCK_KIB, aim))  # fmt: skip
    total = least + TLS_KIB
    out.append((f"smallest MicroPython heap that takes a CDA sale, with {TLS_KIB} KiB for TLS",
                total, WHOLE_KIB, "KiB", total / WHOLE_KIB, "at most 1"))  # fmt: skip
    return out


def rows() -> list[Row]:
    """(name, ours, limit, unit, ratio, aim)."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    for row in rows():
        print(row)
