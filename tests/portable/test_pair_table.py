"""The paired PCs on storage, and a terminal's end of the link that serves one, on both
interpreters."""

from firmware import aio
from firmware.crypto.x25519 import KeyPair
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.pc_pipe import PcPipe
from firmware.link.delivery import PcEnd
from firmware.link.end import Parameters
from firmware.link.runner import Runner
from firmware.link.session import CREDIT, MOST_MESSAGE, NAME, VERSION, PcSession
from firmware.link.streams import END, ERROR
from firmware.services.link_host import Limits, LinkHost
from firmware.services.pair_table import FILE, MOST, Pair, PairsFull, PairsLost, PairTable
from tests.portable.virtual_run import run
from tests.support.memory_files import MemoryFiles
from tests.support.vault_parts import SeededEntropy


def pair(number, *roles):
    return Pair(bytes([number]) * 32, "PC " + str(number), roles or ("sync",), 5, 6)


def told(table):
    return [(one.key, one.name, one.roles, one.made, one.seen) for one in table.pairs]


async def table_on(files):
    vault = SoftVault(files, SeededEntropy())
    await vault.open()
    return PairTable(files, vault)


async def lost(table):
    try:
        await table.load()
    except PairsLost:
        return table.pairs == []
    return False


def test_pairs_outlive_a_restart_and_are_revoked_one_by_one():
    async def main():
        files = MemoryFiles()
        table = await table_on(files)
        await table.load()
        assert table.pairs == []
        for number in (1, 2, 3):
            await table.add(pair(number))
        await table.add(pair(2, "sync", "service"))  # anew, with other roles
        gone = await table.revoke(pair(1).fingerprint)
        assert gone.name == "PC 1" and await table.revoke(pair(1).fingerprint) is None
        again = await table_on(files.after_cut("lost"))
        await again.load()
        assert told(again) == told(table)
        assert [one.roles for one in again.pairs] == [("sync",), ("sync", "service")]
        assert again.find(bytes([2]) * 32).name == "PC 2" and again.find(bytes(32)) is None
        assert again.named(pair(3).fingerprint).key == bytes([3]) * 32

    run(main())


def test_there_are_so_many_and_no_more():
    async def main():
        table = await table_on(MemoryFiles())
        for number in range(MOST):
            await table.add(pair(number))
        try:
            await table.add(pair(99))
        except PairsFull:
            await table.add(pair(0, "service"))  # who is in already may come again
            assert len(table.pairs) == MOST and table.find(bytes([99]) * 32) is None
            return
        raise AssertionError("seventeen")

    run(main())


def test_an_edited_file_is_refused_whole():
    async def main():
        files = MemoryFiles()
        table = await table_on(files)
        await table.add(pair(1))
        kept = files.now[FILE]
        for spoilt in (kept[:-1], kept + b"x", b"", b"{}", kept[:20] + b"\0" + kept[21:]):
            files.now[FILE] = spoilt
            assert await lost(table), spoilt
        files.now[FILE] = kept
        await table.load()
        assert len(table.pairs) == 1
        other = PairTable(files, SoftVault(MemoryFiles(), SeededEntropy(b"another")))
        assert await lost(other), "another terminal's"

    run(main())


def test_being_seen_is_written_now_and_then():
    async def main():
        files = MemoryFiles()
        table = await table_on(files)
        await table.add(pair(1))
        before = files.now[FILE]
        await table.saw(bytes([1]) * 32, 7)
        assert files.now[FILE] == before and table.pairs[0].seen == 7
        await table.saw(bytes([1]) * 32, 9000)
        assert files.now[FILE] != before
        await table.saw(bytes(32), 9000)

    run(main())


class _Pipe(PcPipe):
    def __init__(self, own, other):
        self.own, self.other = own, other

    async def read(self, most):
        while not self.own:
            await aio.sleep_ms(1)
        data = bytes(self.own[:most])
        self.own[:] = self.own[len(data) :]
        return data

    async def write(self, data):
        self.other.extend(data)
        await aio.sleep_ms(1)


def test_a_small_terminal_serves_a_pc():
    async def main():
        up, down = bytearray(), bytearray()
        static = KeyPair(bytes([7]) * 32)
        known = Pair(static.public, "PC", ("sync",), 0, 0)
        defects = []

        async def status(call):
            await call.item({1: bytes(3000)})
            await call.end({1: list(call.roles)})

        async def totals(call):
            await aio.sleep_ms(60000)

        handlers = {"status": status, "totals": totals}
        host = LinkHost(
            _Pipe(up, down), KeyPair(bytes([9]) * 32), ("T1", "b", "1"), SeededEntropy().random,
            lambda key: known if key == known.key else None, handlers.get,
            lambda host: None, defects.append, Limits(True),
        )  # fmt: skip
        serving = aio.spawn("host", host.run())
        own = {NAME: "PC", VERSION: "1", MOST_MESSAGE: 8192, CREDIT: 8192}
        session = PcSession(
            PcEnd(Parameters(1040, 8192)), static, own, SeededEntropy(b"pc").random,
            lambda serial, key: True,
        )  # fmt: skip
        ready = aio.Event()
        pc = Runner(session, _Pipe(down, up), None, lambda what, error: ready.set(), True)
        session.connect(aio.ticks_ms())
        carrying = aio.spawn("pc", pc.run())
        await ready.wait()

        async def ask(service, deadline):
            stream = session.streams.open(service, deadline, {})
            pc.wake()
            while True:
                kind, value = await pc.receive(stream)
                if kind in (END, ERROR):
                    return kind, value

        assert await ask("status", 0) == (END, {1: ["sync"]})
        assert await ask("totals", 300) == (ERROR, ["deadline", {}])
        assert await ask("pairs", 0) == (ERROR, ["role", {}])
        assert await ask("reboot", 0) == (ERROR, ["service", {}])
        serving.cancel()
        await serving.done.wait()
        await carrying.done.wait()
        assert carrying.error is None and not defects

    run(main())
