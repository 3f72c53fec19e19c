"""The software vault's files: hostile content, power cuts, failing storage."""

import itertools

import pytest

from firmware import aio
from firmware.drivers import vault_store
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.files import AppendFile, FilesError, StorageFull
from firmware.hal.vault import KeyMissing, VaultError, VaultTampered
from tests.support import vault_parts as parts
from tests.support.memory_files import MemoryFiles, PowerCut
from tests.support.virtual_time import run


def _vault(files: MemoryFiles) -> SoftVault:
    return SoftVault(files, parts.SeededEntropy())


async def _filled(files: MemoryFiles) -> SoftVault:
    vault = _vault(files)
    await vault.open()
    await vault.install_transport(parts.TRANSPORT, True)
    await vault.install_tmk(parts.tmk_block())
    await vault.install_working_keys(parts.field62([parts.PIN_KEY, parts.MAC_KEY]), 1)
    await vault.install_tls_passphrase(parts.sealed_passphrase())
    await vault.seal("batch", b"x")
    for sequence in (1, 2, 3):
        await vault.note_journal(1, sequence)
    return vault


@pytest.fixture(scope="module")
def content() -> dict[str, bytes]:
    files = MemoryFiles()
    run(_filled(files))
    return dict(files.durable)


def test_nothing_at_rest_is_in_the_clear(content: dict[str, bytes]) -> None:
    whole = b"".join(content.values())
    secrets = (parts.TRANSPORT, parts.TMK, parts.PIN_KEY, parts.MAC_KEY, b"correct horse")
    for secret in (*secrets, b"tmk", b"transport"):
        assert secret not in whole


@pytest.mark.parametrize("name", [vault_store.DEVICE, vault_store.STATE])
def test_every_byte_of_key_files_counts(content: dict[str, bytes], name: str) -> None:
    async def main() -> None:
        data = content[name]
        for at in range(len(data)):
            spoilt = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
            with pytest.raises(VaultError):
                await _vault(MemoryFiles({**content, name: spoilt})).open()
        for size in range(len(data)):
            with pytest.raises(VaultTampered):
                await _vault(MemoryFiles({**content, name: data[:size]})).open()
        with pytest.raises(VaultTampered):
            await _vault(MemoryFiles({**content, name: data + b"\x00"})).open()
        with pytest.raises(VaultTampered):
            await _vault(MemoryFiles({**content, name: bytes(1 << 17)})).open()

    run(main())


def test_another_version_is_no_tampering(content: dict[str, bytes]) -> None:
    newer = b"OTVAULT2" + content[vault_store.STATE][8:]

    async def main() -> None:
        with pytest.raises(VaultError, match="another version") as caught:
            await _vault(MemoryFiles({**content, vault_store.STATE: newer})).open()
        assert not isinstance(caught.value, VaultTampered)

    run(main())


def test_position_file_spoilt(content: dict[str, bytes]) -> None:
    """Only the last record may be torn; then the one before it counts."""
    data = content[vault_store.POSITION]
    assert len(data) == 4 * 28

    async def main() -> None:
        for at in range(len(data)):
            spoilt = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            vault = _vault(MemoryFiles({**content, vault_store.POSITION: spoilt}))
            if at < 3 * 28:
                with pytest.raises(VaultTampered, match="does not verify"):
                    await vault.open()
            else:
                await vault.open()
                assert await vault.journal_position() == (1, 2)
        for size in range(len(data)):
            vault = _vault(MemoryFiles({**content, vault_store.POSITION: data[:size]}))
            if size < 28:
                with pytest.raises(VaultTampered):
                    await vault.open()
                continue
            await vault.open()
            assert await vault.journal_position() == (1 if size >= 56 else 0, size // 28 - 1)
            await vault.note_journal(2, 9)  # after a torn tail, notes still count
            again = _vault(vault._store._files)  # type: ignore[arg-type]  # the same disk
            await again.open()
            assert await again.journal_position() == (2, 9)
        big = MemoryFiles({**content, vault_store.POSITION: data * 3000})
        with pytest.raises(VaultTampered):
            await _vault(big).open()

    run(main())


def test_missing_files_are_tampering(content: dict[str, bytes]) -> None:
    async def main() -> None:
        names = sorted(content)
        for count in (1, 2):
            for gone in itertools.combinations(names, count):
                left = {name: data for name, data in content.items() if name not in gone}
                vault = _vault(MemoryFiles(left))
                if set(gone) == {vault_store.POSITION, vault_store.STATE}:
                    await vault.open()  # as a first boot that was cut after its first write
                    assert "transport" not in await vault.status()
                    continue
                with pytest.raises(VaultTampered):
                    await vault.open()

    run(main())


def test_files_of_another_device(content: dict[str, bytes]) -> None:
    async def main() -> None:
        other = MemoryFiles()
        vault = SoftVault(other, parts.SeededEntropy(b"other"))
        await vault.open()
        for name in content:
            mixed = {**content, name: other.durable[name]}
            with pytest.raises(VaultTampered):
                await _vault(MemoryFiles(mixed)).open()

    run(main())


@pytest.mark.parametrize("unsynced", ["lost", "kept", "torn"])
def test_a_first_boot_cut_anywhere_is_resumed(unsynced: str) -> None:
    async def main() -> None:
        total = MemoryFiles()
        await _vault(total).open()
        assert total.steps >= 3
        for cut in range(total.steps):
            files = MemoryFiles()
            files.cut_at = cut
            with pytest.raises(PowerCut):
                await _vault(files).open()
            vault = _vault(files.after_cut(unsynced))
            await vault.open()
            assert await vault.journal_position() == (0, 0)
            await vault.install_transport(parts.TRANSPORT, False)

    run(main())


@pytest.mark.parametrize("unsynced", ["lost", "kept", "torn"])
def test_cuts_leave_the_old_keys_or_the_new(unsynced: str, content: dict[str, bytes]) -> None:
    new = parts.field62([parts.MAC_KEY * 2, parts.PIN_KEY])

    async def acts(vault: SoftVault) -> None:
        await vault.note_journal(1, 4)
        await vault.install_working_keys(new, 2)
        await vault.note_journal(1, 5)
        await vault.destroy("batch")
        await vault.note_journal(2, 1)
        await vault.forget_working_keys()

    async def main() -> None:
        total = MemoryFiles(content)
        vault = _vault(total)
        await vault.open()
        before = total.steps
        await acts(vault)
        assert total.steps - before == 9  # three notes of two steps, three writes
        sets: list[int] = []
        for cut in range(total.steps):
            files = MemoryFiles(content)
            files.cut_at = cut
            vault = _vault(files)
            await vault.open()
            done = (1, 3)
            with pytest.raises(PowerCut):
                try:
                    await acts(vault)
                finally:
                    done = vault._store.position
            again = _vault(files.after_cut(unsynced))
            await again.open()
            position = await again.journal_position()
            assert position >= done and position in ((1, 3), (1, 4), (1, 5), (2, 1))
            held = await again.key_set()
            sets.append(held)
            slots = await again.status()
            assert ("mac" in slots) == ("pin" in slots) == (held != 0)
            if held:
                assert slots["mac"].algorithm == ("des" if held == 1 else "tdes2")
            await again.note_journal(3, 1)
            third = _vault(again._store._files)  # type: ignore[arg-type]  # the same disk
            await third.open()
            assert await third.journal_position() == (3, 1)
        assert set(sets) >= {1, 2}

    run(main())


@pytest.mark.parametrize("unsynced", ["lost", "kept", "torn"])
def test_erase_cut_anywhere_leaves_no_key(unsynced: str, content: dict[str, bytes]) -> None:
    async def main() -> None:
        for cut in range(1, 5):
            files = MemoryFiles(content)
            vault = _vault(files)
            await vault.open()
            files.cut_at = files.steps + cut
            try:
                await vault.erase()
            except PowerCut:
                pass
            disk = files.after_cut(unsynced)
            with pytest.raises(VaultTampered, match="erased itself"):
                await _vault(disk).open()
            assert content[vault_store.DEVICE][9:41] not in b"".join(disk.now.values())
        files = MemoryFiles(content)
        vault = _vault(files)
        await vault.open()
        files.cut_at = files.steps  # nothing reached the disk, but RAM is empty
        with pytest.raises(PowerCut):
            await vault.erase()
        with pytest.raises(VaultTampered):
            await vault.mac("cup-ecb", b"")

    run(main())


def test_the_position_file_stays_small(content: dict[str, bytes]) -> None:
    async def main() -> None:
        files = MemoryFiles(content)
        vault = _vault(files)
        await vault.open()
        most = 0
        for sequence in range(10, 2600):
            await vault.note_journal(1, sequence)
            most = max(most, len(files.now[vault_store.POSITION]))
        assert most <= 65536
        again = _vault(files.after_cut("lost"))
        await again.open()
        assert await again.journal_position() == (1, 2599)
        assert len(again._store._files.now[vault_store.POSITION]) <= 4096  # type: ignore[attr-defined]

    run(main())


class _FullDisk(MemoryFiles):
    """Runs full on demand: after half of an append, or in a replace."""

    full = False

    async def open_append(self, name: str) -> AppendFile:
        inner = await super().open_append(name)
        disk = self

        class Half(AppendFile):
            async def append(self, data: bytes) -> None:
                if disk.full:
                    await inner.append(data[: len(data) // 2])
                    raise StorageFull("full")
                await inner.append(data)

            async def sync(self) -> None:
                await inner.sync()

            async def close(self) -> None:
                await inner.close()

        return Half()

    async def replace(self, name: str, data: bytes) -> None:
        if self.full:
            raise StorageFull("full")
        await super().replace(name, data)


def test_a_full_disk_changes_nothing(content: dict[str, bytes]) -> None:
    async def main() -> None:
        files = _FullDisk(content)
        vault = _vault(files)
        await vault.open()
        mac = await vault.mac("cup-ecb", b"x")
        files.full = True
        new = parts.field62([parts.MAC_KEY * 2, parts.PIN_KEY])
        for call in (vault.install_working_keys(new, 2), vault.note_journal(1, 4)):
            with pytest.raises(FilesError):
                await call
        assert await vault.mac("cup-ecb", b"x") == mac and await vault.key_set() == 1
        assert await vault.journal_position() == (1, 3)
        for _ in range(2):  # what was not durable is never taken for noted
            with pytest.raises(FilesError):
                await vault.note_journal(1, 4)
            assert await vault.journal_position() == (1, 3)
        files.full = False
        await vault.note_journal(1, 4)
        late = _vault(files.after_cut("lost"))
        await late.open()
        assert await late.journal_position() == (1, 4)
        await vault.note_journal(1, 5)  # the half record is not built upon
        await vault.note_journal(1, 6)
        again = _vault(files.after_cut("lost"))
        await again.open()
        assert await again.journal_position() == (1, 6)

    run(main())


def test_erased_while_a_write_is_under_way(content: dict[str, bytes]) -> None:
    """What a tamper switch interrupts must not put keys back into RAM."""

    async def main() -> None:
        files = MemoryFiles(content)
        vault = _vault(files)
        await vault.open()
        save = vault._store.save

        async def slow(state: vault_store.State) -> None:
            await save(state)
            vault._erased = True  # as erase() does before its first wait
            vault._close()

        vault._store.save = slow  # type: ignore[method-assign]  # stands in the middle of a write
        with pytest.raises(VaultTampered):
            await vault.install_working_keys(parts.field62([parts.PIN_KEY, parts.MAC_KEY]), 2)
        assert vault._state is None

    run(main())


def test_destroying_a_working_key_ends_the_set(content: dict[str, bytes]) -> None:
    async def main() -> None:
        vault = _vault(MemoryFiles(content))
        await vault.open()
        await vault.destroy("mac")
        assert await vault.key_set() == 0
        with pytest.raises(KeyMissing):
            await vault.mac("cup-ecb", b"")

    run(main())


def test_a_cancelled_caller_does_not_part_storage_from_ram(content: dict[str, bytes]) -> None:
    class Slow(MemoryFiles):
        async def replace(self, name: str, data: bytes) -> None:
            await aio.sleep_ms(50)
            await super().replace(name, data)

    async def main() -> None:
        files = Slow(content)
        vault = _vault(files)
        await vault.open()
        new = parts.field62([parts.MAC_KEY * 2, parts.PIN_KEY])
        name, _ = await aio.first(
            ("install", vault.install_working_keys(new, 2)), ("cancel", aio.sleep_ms(10))
        )
        assert name == "cancel" and await vault.key_set() == 2
        again = _vault(files.after_cut("lost"))
        await again.open()
        assert await again.key_set() == 2
        assert await again.mac("cup-ecb", b"x") == await vault.mac("cup-ecb", b"x")

    run(main())


def test_keys_that_were_not_stored_are_wiped(content: dict[str, bytes]) -> None:
    async def main() -> None:
        files = _FullDisk(content)
        vault = _vault(files)
        await vault.open()
        made: list[vault_store.State] = []
        save = vault._store.save

        async def watched(state: vault_store.State) -> None:
            made.append(state)
            await save(state)

        vault._store.save = watched  # type: ignore[method-assign]  # to see what is written
        files.full = True
        with pytest.raises(FilesError):
            await vault.install_working_keys(parts.field62([parts.PIN_KEY, parts.MAC_KEY]), 2)
        assert made[0].slots["pin"].key == bytes(16) and made[0].slots["mac"].key == bytes(8)
        assert made[0].slots["tmk"].key == parts.TMK  # shared with what stays
        files.full = False
        old = vault._state
        assert old is not None
        await vault.forget_working_keys()
        assert old.slots["pin"].key == bytes(16) and old.slots["tmk"].key == parts.TMK

    run(main())
