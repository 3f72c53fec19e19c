"""PC/SC where a call into the daemon does not end: each of ours does, by name, and the slot
works again once the daemon does. Real threads, so the limits are short and the time is real."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest

from firmware import aio
from firmware.buses import pcsc_linux
from firmware.buses.pcsc_linux import PcscdMissing, PcscdSilent, PcscSlot
from firmware.drivers.chip_reader import ChipReader
from firmware.errors import TillError
from firmware.hal.card_reader import ReaderMissing

ATR = [0x3B, 0x65, 0, 0, 0x4F, 0x50, 0x45, 0x4E, 0x54]


class HangingApi:
    """pyscard's module as far as the slot uses it; ``hang`` names the call that waits for
    ``free``. Results are numbers, as those of PC/SC are."""

    SCARD_S_SUCCESS, SCARD_E_NO_SERVICE = 0, 1
    SCARD_SCOPE_SYSTEM = SCARD_STATE_UNAWARE = 0
    SCARD_STATE_PRESENT, SCARD_STATE_CHANGED = 0x20, 2
    SCARD_PROTOCOL_T0, SCARD_PROTOCOL_T1 = 1, 2
    SCARD_PCI_T0, SCARD_PCI_T1 = 1, 2
    SCARD_SHARE_EXCLUSIVE = SCARD_UNPOWER_CARD = 2

    def __init__(self) -> None:
        self.hang = ""
        self.free = threading.Event()
        self.result = 0

    def _say(self, name: str, *values: Any) -> Any:
        if name == self.hang:
            self.free.wait()
        return (self.result, *values) if values else self.result

    def __getattr__(self, name: str) -> Any:
        if name.startswith("SCARD_"):
            return 100 + len(name)  # errors that nobody gives here
        answers: dict[str, tuple[Any, ...]] = {
            "SCardEstablishContext": (7,),
            "SCardListReaders": (["Reader 00"],),
            "SCardGetStatusChange": ([("Reader 00", self.SCARD_STATE_PRESENT, ATR)],),
            "SCardConnect": (9, self.SCARD_PROTOCOL_T0),
            "SCardReconnect": (self.SCARD_PROTOCOL_T0,),
            "SCardStatus": ("Reader 00", 0, self.SCARD_PROTOCOL_T0, ATR),
            "SCardTransmit": ([0x90, 0x00],),
            "SCardDisconnect": (),
            "SCardReleaseContext": (),
            "SCardGetErrorMessage": (),
        }
        return lambda *_: self._say(name, *answers[name])


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSWER_MS", "RESET_MS", "COMMAND_MS"):
        monkeypatch.setattr(pcsc_linux, name, 250)


def slot_on(api: HangingApi) -> PcscSlot:
    slot = PcscSlot("Reader")
    slot._scard = api
    return slot


@pytest.mark.usefixtures("short")
def test_a_command_that_does_not_end_is_given_up_and_the_reader_comes_back() -> None:
    async def main() -> None:
        api = HangingApi()
        slot = slot_on(api)
        reader = ChipReader(slot)
        try:
            channel = await reader.power_on()
            api.hang = "SCardTransmit"
            with pytest.raises(ReaderMissing, match="longer than"):
                await channel.transmit(bytes(5))
            for act in (reader.present, reader.power_off, reader.power_on):
                with pytest.raises(ReaderMissing):
                    await act()
            api.hang = ""
            api.free.set()
            channel = await reader.power_on()
            assert (await channel.transmit(bytes(5)))[1] == 0x9000
        finally:
            api.free.set()
            await slot.close()

    aio.run(aio.deadline(20_000, main(), "the slot"))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("call", ["SCardEstablishContext", "SCardGetStatusChange"])
def test_a_daemon_that_hangs_is_named_and_closed(call: str) -> None:
    async def main() -> None:
        api = HangingApi()
        api.hang = call
        slot = slot_on(api)
        try:
            with pytest.raises(PcscdSilent):
                await slot.present()
            await slot.close()  # though its thread is stuck
        finally:
            api.free.set()

    aio.run(aio.deadline(20_000, main(), "the slot"))


@pytest.mark.usefixtures("short")
def test_a_daemon_that_went_is_closed_without_a_word() -> None:
    async def main() -> None:
        api = HangingApi()
        slot = slot_on(api)
        await slot.power_on()
        api.result = api.SCARD_E_NO_SERVICE
        with pytest.raises(PcscdMissing):
            await slot.present()
        await slot.close()

    aio.run(aio.deadline(20_000, main(), "the slot"))


def test_a_process_ends_though_a_call_does_not() -> None:
    """What restarts the terminal waits for its exit code."""
    code = (
        "import threading\n"
        "from firmware import aio\n"
        "from firmware.errors import Timeout\n"
        "async def main():\n"
        "    worker = aio.Worker('stuck')\n"
        "    assert await worker.call(int, '7') == 7\n"
        "    try:\n"
        "        await aio.deadline(50, worker.call(threading.Event().wait))\n"
        "    except Timeout:\n"
        "        worker.abandon()\n"
        "aio.run(main())\n"
        "raise SystemExit(70)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 70, done.stderr


def test_a_worker_does_its_calls_in_turn_and_none_when_it_is_closed() -> None:
    async def main() -> None:
        worker = aio.Worker("turns")
        done: list[int] = []
        free = threading.Event()
        held = aio.spawn("held", worker.call(free.wait))
        given_up = aio.spawn("given up", worker.call(done.append, 1))
        await aio.sleep_ms(0)
        given_up.cancel()
        with pytest.raises(TillError, match="cancelled"):
            await given_up.join()  # only now is the call itself given up
        free.set()
        await worker.call(done.append, 2)
        assert await held.join() and done == [2]
        with pytest.raises(ZeroDivisionError):
            await worker.call(divmod, 1, 0)
        worker.close()
        with pytest.raises(RuntimeError):
            await worker.call(done.append, 3)
        assert done == [2]

    aio.run(aio.deadline(20_000, main(), "the worker"))
