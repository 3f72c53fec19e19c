"""Our card driver over pyscard against a real pcscd with vsmartcard's reader."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from firmware import aio
from firmware.buses.pcsc_linux import PcscSlot
from firmware.drivers.chip_reader import ChipReader
from firmware.hal.card_reader import ReaderMissing
from host_tools.emulator import deck
from tests.support import pcscd
from tests.support.card_sale import Sale, objects

pytestmark = pytest.mark.pcscd


@pytest.fixture
def daemon() -> pcscd.PcscDaemon:
    if pcscd.why_not():
        pytest.skip(pcscd.why_not())
    return pcscd.shared()


@pytest.mark.parametrize("name", ["two-apps", "t1", "cda-large", "offline-pin-enciphered"])
def test_read_through(daemon: pcscd.PcscDaemon, name: str) -> None:
    """Directory, every application, every record, byte for byte what the chip holds."""
    chip = deck.load().cards[name].make_card()
    seen: dict[tuple[int, int], bytes] = {}

    async def work() -> None:
        slot = PcscSlot("OpenTill")
        reader = ChipReader(slot)
        inserted = daemon.insert(chip)
        try:
            await reader.wait_present()
            channel = await reader.power_on()

            async def transmit(command: bytes) -> tuple[bytes, int]:
                data, sw, _ = await channel.transmit(command)
                if command[1] == 0xB2 and sw == 0x9000:
                    seen[(command[3] >> 3, command[2])] = data
                return data, sw

            sale = Sale(transmit)
            await sale.send("00A40400", b"1PAY.SYS.DDF01")
            assert sale.sw == 0x9000
            directory = objects(await sale.send("00B2010C"))
            assert directory[0x4F] == chip.applications[-1].data.aid
            for application in chip.applications:
                seen.clear()
                await sale.select(application.data.aid.hex())
                assert sale.sw == 0x9000
                await sale.start()
                assert seen == application.data.records
            assert (await sale.first(0x80))[0x9F27] == b"\x80"
            await reader.power_off()
        finally:
            inserted.remove()
            await reader.wait_removed()
            await slot.close()

    aio.run(aio.deadline(30000, work(), "the read-through"))


def test_a_daemon_that_dies_and_comes_back(daemon: pcscd.PcscDaemon) -> None:
    """Each time is named, and the same slot works again without being made anew."""
    chip = deck.load().cards["approve"].make_card()

    async def work() -> None:
        slot = PcscSlot("OpenTill")
        reader = ChipReader(slot)
        daemon.insert(chip)
        await reader.wait_present()
        channel = await reader.power_on()
        daemon.stop()
        with pytest.raises(ReaderMissing):
            await channel.transmit(bytes.fromhex("80CA9F3600"))
        with pytest.raises(ReaderMissing):
            await reader.present()
        await reader.power_off()
        daemon.start()
        daemon.insert(chip)
        await reader.wait_present()
        channel = await reader.power_on()
        answer = await channel.transmit(bytes.fromhex("00A4040008A00000033301010100"))
        assert answer[1] == 0x9000
        await reader.power_off()
        await slot.close()

    try:
        aio.run(aio.deadline(40000, work(), "the restart"))
    finally:
        daemon.stop()
        daemon.start()


def test_no_daemon_is_named(daemon: pcscd.PcscDaemon) -> None:
    """Another process, because libpcsclite remembers the socket of its first call."""
    code = (
        "from tests.support import pcscd; pcscd.use_pyscard()\n"
        "from firmware import aio\n"
        "from firmware.buses.pcsc_linux import PcscdMissing, PcscSlot\n"
        "async def work():\n"
        "    slot = PcscSlot()\n"
        "    try:\n"
        "        await slot.present()\n"
        "    except PcscdMissing as error:\n"
        "        print('named', error)\n"
        "    await slot.close()\n"
        "aio.run(work())\n"
    )
    environment = {**os.environ, "PCSCLITE_CSOCK_NAME": str(daemon.folder / "nobody")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("named PC/SC context"), done.stderr


def test_no_pyscard_is_named() -> None:
    code = (
        "import sys; sys.modules['smartcard'] = None\n"
        "from firmware import aio\n"
        "from firmware.buses.pcsc_linux import PcscSlot, PyscardMissing\n"
        "async def work():\n"
        "    slot = PcscSlot()\n"
        "    try:\n"
        "        await slot.present()\n"
        "    except PyscardMissing as error:\n"
        "        print('named', error)\n"
        "    await slot.close()\n"
        "aio.run(work())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("named pyscard is not installed"), done.stderr


def test_the_daemon_is_apart_from_the_hosts(daemon: pcscd.PcscDaemon) -> None:
    """Its socket is in the test's folder, its port in a namespace of its own."""
    assert daemon.address.parent == daemon.folder
    for kind in ("net", "mnt"):
        theirs = os.readlink(f"/proc/{daemon.pid}/ns/{kind}")
        assert theirs != os.readlink(f"/proc/self/ns/{kind}")
