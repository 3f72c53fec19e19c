"""Our counter on a real TPM 2.0's firmware (swtpm), through tpm2-pytss."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.drivers import tpm_linux
from firmware.drivers.soft_vault import SoftVault
from firmware.drivers.tpm_linux import TpmCounter
from firmware.hal.counter import (
    CounterError,
    CounterForeign,
    CounterLocked,
    CounterMissing,
    CounterUnset,
)
from firmware.payment.journal.journal import Journal
from tests.support import swtpm
from tests.support import vault_parts as parts
from tests.support.faulty_disk import FaultyDisk
from tests.support.journal_script import sale

SECRET, OTHER = bytes(range(32)), bytes(range(1, 33))
#: TPM_CC of the commands that a step is made of.
READ_PUBLIC, START, INCREMENT, READ, FLUSH = 0x169, 0x176, 0x134, 0x14E, 0x165


@pytest.fixture
def tpm() -> Iterator[swtpm.SoftTpm]:
    if swtpm.why_not():
        pytest.skip(swtpm.why_not())
    chip = swtpm.SoftTpm()
    yield chip
    chip.close()


@pytest.fixture
def tap(tpm: swtpm.SoftTpm) -> Iterator[swtpm.Tap]:
    tap = swtpm.Tap(tpm)
    yield tap
    tap.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    aio.run(aio.deadline(60000, work, "the test"))


@contextmanager
def _somebody(tpm: swtpm.SoftTpm) -> Iterator[tuple[Any, Any]]:
    """The library past our driver, as another program in the terminal has it."""
    import tpm2_pytss

    line = tpm_linux._Line(tpm.path, 4000)
    way = tpm_linux._Session(tpm2_pytss, line, tpm_linux.INDEX, b"")._way()
    with tpm2_pytss.ESAPI(way) as esapi:
        yield tpm2_pytss, esapi
    line.close()


def test_a_counter_counts_and_power_cuts_take_nothing_back(tpm: swtpm.SoftTpm) -> None:
    async def work() -> None:
        counter = TpmCounter(tpm.path)
        with pytest.raises(CounterUnset, match="0x18a7111"):
            await counter.find(SECRET)
        with pytest.raises(CounterUnset):
            await counter.step(SECRET)
        first = await counter.make(SECRET)
        assert first >= 1
        assert await counter.make(SECRET) == first == await counter.find(SECRET)
        for more in (1, 2, 3):
            assert await counter.step(SECRET) == first + more
            tpm.cut()
            tpm.start()
            assert await counter.find(SECRET) == first + more

    _run(work())


@pytest.mark.parametrize("secret", [SECRET[1:] + b"\0", SECRET[:2] + bytes(30), bytes(32)])
def test_a_secret_that_ends_in_zeros_is_as_good(tpm: swtpm.SoftTpm, secret: bytes) -> None:
    """One vault of 256 derives such. A TPM takes the zeros off, the library only since 4.1
    (tpm2-tss issue 2664), which an HMAC does not feel as long as no session is bound."""

    async def work() -> None:
        counter = TpmCounter(tpm.path)
        first = await counter.make(secret)
        assert await counter.step(secret) == first + 1 == await counter.find(secret)

    _run(work())


def test_another_terminals_counter_is_named_and_left_alone(tpm: swtpm.SoftTpm) -> None:
    async def work() -> None:
        counter = TpmCounter(tpm.path)
        first = await counter.make(SECRET)
        for _ in range(40):  # no lockout from it, and no session stays in the chip
            with pytest.raises(CounterForeign):
                await counter.find(OTHER)
            with pytest.raises(CounterForeign):
                await counter.step(OTHER)
        assert await counter.find(SECRET) == first
        # A new vault in the same terminal: it takes the place, and counts on.
        assert await counter.make(OTHER) > first
        with pytest.raises(CounterForeign):
            await counter.find(SECRET)

    _run(work())


def test_what_is_no_counter_of_ours_is_left_alone(tpm: swtpm.SoftTpm) -> None:
    with _somebody(tpm) as (tss, esapi):
        public = tss.TPM2B_NV_PUBLIC(
            nvPublic=tss.TPMS_NV_PUBLIC(
                nvIndex=tpm_linux.INDEX,
                nameAlg=tss.TPM2_ALG.SHA256,
                attributes=tss.TPMA_NV.AUTHWRITE | tss.TPMA_NV.AUTHREAD,
                authPolicy=b"",
                dataSize=8,
            )
        )
        esapi.nv_write(esapi.nv_define_space(SECRET, public), b"somebody")

    async def work() -> None:
        counter = TpmCounter(tpm.path)
        for call in (counter.find, counter.step, counter.make):
            with pytest.raises(CounterForeign, match="something else is kept there"):
                await call(SECRET)
        assert await TpmCounter(tpm.path, tpm_linux.INDEX + 1).make(SECRET) >= 1

    _run(work())


def test_an_owner_with_a_password_is_named(tpm: swtpm.SoftTpm) -> None:
    async def work() -> None:
        counter = TpmCounter(tpm.path)
        first = await counter.make(SECRET)
        with _somebody(tpm) as (tss, esapi):
            esapi.hierarchy_change_auth(tss.ESYS_TR.OWNER, b"password")
        assert await counter.step(SECRET) == first + 1  # needs no owner
        with pytest.raises(CounterError, match="owner has a password"):
            await counter.make(OTHER)
        assert await counter.find(SECRET) == first + 1

    _run(work())


def _code(command: bytes) -> int:
    return int.from_bytes(command[6:10], "big")


def _refused(code: int) -> bytes:
    return bytes.fromhex("80010000000a") + code.to_bytes(4, "big")


@pytest.mark.parametrize("code", [0x920, 0x921, 0x922, 0x923])
def test_lockout_and_worn_memory_are_waited_for_and_named(tap: swtpm.Tap, code: int) -> None:
    async def work() -> None:
        counter = TpmCounter(tap.path, within_ms=700)
        first = await counter.make(SECRET)
        refusals = [code]

        def once(command: bytes, ask: Callable[[bytes], bytes]) -> bytes:
            if _code(command) == INCREMENT and refusals:
                return _refused(refusals.pop())
            return ask(command)

        tap.fault = once
        assert await counter.step(SECRET) == first + 1 and not refusals
        tap.fault = lambda command, ask: (
            _refused(code) if _code(command) == INCREMENT else ask(command)
        )
        with pytest.raises(CounterLocked):
            await counter.step(SECRET)
        assert await counter.find(SECRET) == first + 1

    _run(work())


def _stall(answer: bytes) -> bytes | None:
    return None


FAULTS: dict[str, Callable[[bytes], bytes | None]] = {
    "no answer": _stall,
    "hung up": lambda answer: b"",
    "cut short": lambda answer: answer[:-1],
    "only a header": lambda answer: answer[:10],
    "too long": lambda answer: answer + b"\x00",
    "endless": lambda answer: answer[:2] + b"\xff\xff\xff\xff" + answer[6:],
    "noise": lambda answer: bytes(b ^ 0x5A for b in answer),
    "one bit": lambda answer: answer[:-1] + bytes([answer[-1] ^ 1]),
    "failure mode": lambda answer: _refused(0x101),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_line_is_named_and_the_counter_can_be_asked_again(
    tpm: swtpm.SoftTpm, tap: swtpm.Tap, fault: str
) -> None:
    """At each command of a step in turn. Nothing but the answer is lost: the step was
    done or not, and the next reading tells. The power cut in between stands for the kernel's
    resource manager, which ends the sessions of a connection that broke."""

    async def work() -> None:
        counter, hasty = TpmCounter(tap.path), TpmCounter(tap.path, within_ms=150)
        await counter.make(SECRET)
        tap.commands.clear()
        value = await counter.step(SECRET)
        codes = [_code(command) for command in tap.commands]
        assert set(codes) == {READ_PUBLIC, START, INCREMENT, READ, FLUSH}
        for wrong in range(len(codes)):
            left = [wrong]

            def spoil(
                command: bytes, ask: Callable[[bytes], bytes], left: list[int] = left
            ) -> bytes | None:
                left[0] -= 1
                answer = ask(command)
                return FAULTS[fault](answer) if left[0] == -1 else answer

            tap.fault = spoil
            said = None
            try:
                said = await hasty.step(SECRET)
            except CounterError as error:
                assert tap.path in str(error), error
            # Only an answer that nothing protects and nobody needs may pass.
            assert said is None or (
                said == value + 1 and (fault == "one bit" or codes[wrong] == FLUSH)
            )
            tap.fault = lambda command, ask: ask(command)
            tpm.cut()
            tpm.start()
            now = await counter.find(SECRET)
            done = said is not None or (left[0] < 0 and wrong >= codes.index(INCREMENT))
            assert now == value + done, (wrong, codes)
            value = now

    _run(work())


def test_nothing_there_is_named(tpm: swtpm.SoftTpm, tmp_path: Path) -> None:
    async def work() -> None:
        with pytest.raises(CounterMissing, match="No such file"):
            await TpmCounter(f"{tmp_path}/tpmrm0").find(SECRET)
        with pytest.raises(CounterError, match="hung up"):
            await TpmCounter("/dev/null").find(SECRET)
        with pytest.raises(CounterMissing):
            await TpmCounter(str(tmp_path)).find(SECRET)
        counter = TpmCounter(tpm.path)
        await counter.make(SECRET)
        tpm.cut()
        with pytest.raises(CounterMissing):
            await counter.find(SECRET)
        tpm.start()
        assert await counter.find(SECRET) >= 1

    _run(work())


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        ("sys.modules['tpm2_pytss'] = None", "tpm2-pytss is not installed"),
        ("sys.path.insert(0, sys.argv[1])", "this tpm2-pytss is too old: not an acceptable base"),
    ],
)
def test_no_library_is_named(prepare: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "tpm2_pytss.py").write_text("raise TypeError('not an acceptable base type')")
    code = (
        f"import sys; {prepare}\n"
        "from firmware import aio\n"
        "from firmware.drivers.tpm_linux import TpmCounter\n"
        "from firmware.hal.counter import CounterMissing\n"
        "async def work():\n"
        "    try:\n"
        "        await TpmCounter().find(bytes(32))\n"
        "    except CounterMissing as error:\n"
        "        print('named', error)\n"
        "aio.run(work())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("named " + said), done.stderr


def test_the_vault_notices_an_old_copy_by_it(tpm: swtpm.SoftTpm) -> None:
    async def boot(disk: FaultyDisk) -> tuple[Journal, str]:
        files = disk.files()
        vault = SoftVault(files, parts.SeededEntropy(), None, TpmCounter(tpm.path))
        await vault.open()
        journal = Journal(files, vault)
        return journal, (await journal.open()).trading

    async def work() -> None:
        disk = FaultyDisk()
        journal, trading = await boot(disk)
        assert trading == "ok"
        await sale(journal)
        copy = disk.snapshot()
        tpm.cut()
        tpm.start()
        journal, trading = await boot(disk)
        assert trading == "ok"
        await sale(journal)
        disk.restore(copy)
        tpm.cut()
        tpm.start()
        journal, trading = await boot(disk)
        assert trading == "confirm"
        await journal.confirm_damage("1")
        await sale(journal)
        tpm.cut()
        with pytest.raises(CounterMissing):
            await boot(disk)
        tpm.start()
        assert (await boot(disk))[1] == "ok"

    _run(work())
