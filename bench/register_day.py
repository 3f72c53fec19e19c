"""A paired register on the emulator: till emulate --state signed-in --command "python THIS N FILE".

Pairs, asks N times for a payment and takes each back at its card prompt, then has one paid. FILE
gets a JSON list of milliseconds from the request until the emulator's page has the prompt.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from host_tools.pc_link import connection
from tests.support.pair_emulated import do, pair

DEADLINE_MS = 60_000


def _wait(screen: str) -> None:
    do(do="wait", screen=screen, seconds=30)


async def _ask(terminal: connection.LinkedTerminal, reference: str) -> float:
    """Milliseconds of one request, which is taken back."""
    arguments = {1: reference, 2: bytes(32), 3: 1234, 4: 156, 5: "sale", 6: "Kasse 1"}
    begun = time.perf_counter()
    payment = await terminal.open("sale_start", arguments, DEADLINE_MS)
    await asyncio.to_thread(_wait, "present_card")
    took = (time.perf_counter() - begun) * 1000
    aborted = await (await terminal.open("sale_abort", {1: reference}, DEADLINE_MS)).result()
    if aborted != {1: "aborted"} or (await payment.result())[2] != "cancelled":
        raise SystemExit("bench: a payment was not taken back")
    await asyncio.to_thread(_wait, "idle")
    return took


async def _day(count: int) -> list[float]:
    async with connection.connect(os.environ["OPENTILL_LINK"]) as terminal:
        return [await _ask(terminal, f"bench:{at}") for at in range(count)]


def main() -> None:
    """Write the times."""
    pair("--role", "register")
    _wait("idle")
    Path(sys.argv[2]).write_text(json.dumps(asyncio.run(_day(int(sys.argv[1])))))


if __name__ == "__main__":
    main()
