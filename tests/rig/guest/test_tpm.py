"""The counter over /dev/tpmrm0: the kernel's driver and resource manager, swtpm behind them."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.drivers.soft_vault import SoftVault
from firmware.drivers.tpm_linux import TpmCounter
from firmware.hal.counter import CounterError, CounterForeign, CounterMissing, CounterUnset
from tests.rig.guest.waiting import until
from tests.support.memory_files import MemoryFiles
from tests.support.vault_parts import SeededEntropy

Need = Callable[..., None]
SECRET, OTHER = bytes(range(32)), bytes(range(1, 33))
#: For one exchange: a translated processor is slow, and so is the chip that it plays.
PATIENCE_MS = 15000


class Chip:
    """swtpm behind the kernel's proxy, with a memory of its own; ``start`` is power on."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        (self._folder / "memory").mkdir()
        self.start()

    def start(self) -> None:
        """Power on; the kernel has found it when this returns."""
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["swtpm", "chardev", "--tpm2", "--vtpm-proxy", "--flags", "startup-clear",
                 "--tpmstate", f"dir={self._folder}/memory"],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self._nodes, "a TPM of the kernel")

    def _nodes(self) -> list[Path]:
        return list(Path("/dev").glob("tpmrm*"))

    @property
    def path(self) -> str:
        """Its resource manager; the number may change with each start."""
        return str(self._nodes()[0])

    def cut(self) -> None:
        """Power off, without warning."""
        self.process.kill()
        self.process.wait()
        until(lambda: not self._nodes(), "the TPM's leaving")


@pytest.fixture
def chip(need: Need) -> Iterator[Chip]:
    need("tpm_vtpm_proxy")
    try:
        import tpm2_pytss  # noqa: F401  (only asked whether it is there)
    except (ImportError, TypeError) as error:
        pytest.skip(f"the guest was built without tpm2-pytss: {error}")
    chip = Chip()
    yield chip
    chip.cut()


def _run(work: Coroutine[Any, Any, None]) -> None:
    aio.run(aio.deadline(55000, work, "the test"))


def test_it_counts_and_its_memory_outlives_the_power(chip: Chip) -> None:
    async def work() -> None:
        counter = TpmCounter(chip.path, within_ms=PATIENCE_MS)
        with pytest.raises(CounterUnset):
            await counter.find(SECRET)
        first = await counter.make(SECRET)
        assert await counter.step(SECRET) == first + 1
        for _ in range(6):  # the kernel ends a refused connection's session
            with pytest.raises(CounterForeign):
                await counter.step(OTHER)
        assert await counter.find(SECRET) == first + 1
        chip.cut()
        with pytest.raises(CounterMissing):
            await counter.find(SECRET)
        chip.start()
        assert await TpmCounter(chip.path, within_ms=PATIENCE_MS).find(SECRET) == first + 1

    _run(work())


def test_a_chip_that_stalls_is_named_in_time(chip: Chip) -> None:
    async def work() -> None:
        counter = TpmCounter(chip.path, within_ms=PATIENCE_MS)
        first = await counter.make(SECRET)
        hasty = TpmCounter(chip.path, within_ms=1500)
        os.kill(chip.process.pid, signal.SIGSTOP)
        try:
            for call in (hasty.find, hasty.step):
                with pytest.raises(CounterError, match="answer"):
                    await call(SECRET)
        finally:
            os.kill(chip.process.pid, signal.SIGCONT)
        for _ in range(20):  # what was asked may still be done, late
            try:
                assert await counter.find(SECRET) in (first, first + 1)
                return
            except CounterError:
                await aio.sleep_ms(500)
        raise AssertionError("it did not come back")

    _run(work())


def test_the_vault_notices_an_old_copy(chip: Chip) -> None:
    async def work() -> None:
        async def opened(files: MemoryFiles) -> SoftVault:
            vault = SoftVault(
                files, SeededEntropy(), None, TpmCounter(chip.path, within_ms=PATIENCE_MS)
            )
            await vault.open()
            return vault

        files = MemoryFiles()
        await (await opened(files)).note_journal(1, 1)
        copy = MemoryFiles(files.durable)
        await (await opened(files)).note_journal(1, 2)
        assert await (await opened(files)).journal_position() == (1, 2)
        old = await opened(copy)
        assert (await old.journal_position())[0] > 1

    _run(work())
