"""Conformance of hal.vault: what every driver of the vault must do."""

import hashlib
from collections.abc import Callable

import pytest

from firmware.crypto import CryptoError, backend, kcv, pin_block
from firmware.crypto.x25519 import KeyPair
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.pin_entry import PinHandle
from firmware.hal.vault import KeyMissing, KeyRefused, Vault, VaultError, VaultTampered
from tests.support import vault_parts as parts
from tests.support.memory_files import MemoryFiles
from tests.support.virtual_time import run

#: (files of the terminal) -> vault, and how a PIN gets into it.
Make = Callable[[MemoryFiles], tuple[Vault, Callable[[bytes], PinHandle]]]


def _soft(files: MemoryFiles) -> tuple[Vault, Callable[[bytes], PinHandle]]:
    vault = SoftVault(files, parts.SeededEntropy())
    return vault, lambda digits: vault.pins.keep(bytearray(digits))


@pytest.fixture(params=[_soft], ids=["soft"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


async def _ready(vault: Vault) -> None:
    await vault.open()
    await vault.install_transport(parts.TRANSPORT, True)
    await vault.install_tmk(parts.tmk_block())
    await vault.install_working_keys(parts.field62([parts.PIN_KEY, parts.MAC_KEY]), 1)


def test_a_new_vault_is_empty_and_says_so(make: Make) -> None:
    async def main() -> None:
        vault, keep = make(MemoryFiles())
        with pytest.raises(VaultError):
            await vault.status()  # not open yet
        await vault.open()
        status = await vault.status()
        assert not {"transport", "tmk", "pin", "mac", "track", "tls", "batch"} & set(status)
        assert await vault.key_set() == 0
        assert await vault.journal_position() == (0, 0)
        with pytest.raises(KeyMissing):
            await vault.install_tmk(parts.tmk_block())
        with pytest.raises(KeyMissing):
            await vault.install_working_keys(bytes(40), 1)
        with pytest.raises(KeyMissing):
            await vault.mac("cup-ecb", b"")
        with pytest.raises(KeyMissing):
            await vault.tls_passphrase()
        with pytest.raises(KeyMissing):
            await vault.pin_block(keep(b"1234"), 0, "6222021234567890128")

    run(main())


def test_keys_outlive_a_restart(make: Make) -> None:
    async def main() -> None:
        files = MemoryFiles()
        vault, _ = make(files)
        await _ready(vault)
        await vault.install_tls_passphrase(parts.sealed_passphrase())
        await vault.note_journal(7, 41)
        before = {k: (v.algorithm, v.kcv, v.test) for k, v in (await vault.status()).items()}
        mac = await vault.mac("cup-ecb", b"0800")
        journal = await vault.journal_mac(b"checkpoint")
        token = await vault.token(b"pan")

        again, _ = make(files.after_cut("lost"))
        await again.open()
        after = {k: (v.algorithm, v.kcv, v.test) for k, v in (await again.status()).items()}
        assert after == before
        assert before["tmk"] == ("tdes2", kcv.zeros("tdes2", parts.TMK, 3).hex().upper(), True)
        assert before["mac"][0] == "des" and before["pin"][:2] == ("tdes2", "8D0A74")
        assert await again.key_set() == 1
        assert await again.mac("cup-ecb", b"0800") == mac
        assert await again.journal_mac(b"checkpoint") == journal != await again.journal_mac(b"x")
        assert await again.token(b"pan") == token and len(token) == 16
        assert await again.tls_passphrase() == "correct horse"
        assert await again.journal_position() == (7, 41)

    run(main())


def test_transport_is_installed_once(make: Make) -> None:
    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await vault.open()
        with pytest.raises(KeyRefused):
            await vault.install_transport(bytes(16), False)
        await vault.install_transport(parts.TRANSPORT, False)
        with pytest.raises(KeyRefused):
            await vault.install_transport(parts.TRANSPORT, False)
        status = await vault.status()
        assert not any(slot.test for slot in status.values())
        await vault.install_tmk(parts.tmk_block())
        assert not (await vault.status())["tmk"].test

    run(main())


@pytest.mark.parametrize(
    "block",
    [
        parts.tmk_block(usage="P0"),
        parts.tmk_block(mode="E"),
        parts.tmk_block(tmk=bytes(8)),
        parts.tmk_block(algorithm="S"),
        parts.tmk_block(transport=bytes(32)),
        "",
        "D0112",
        parts.tmk_block()[:-1] + "G",
        "\u00e9" * 112,
    ],
)
def test_wrong_master_key_blocks_change_nothing(make: Make, block: str) -> None:
    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await _ready(vault)
        with pytest.raises(KeyRefused) as caught:
            await vault.install_tmk(block)
        assert caught.value.detail
        assert await vault.key_set() == 1
        assert len(await vault.mac("cup-ecb", b"0800")) == 8

    run(main())


def test_a_new_master_key_ends_the_working_keys(make: Make) -> None:
    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await _ready(vault)
        check = await vault.install_tmk(parts.tmk_block())  # the same again: nothing happens
        assert check == (await vault.status())["tmk"].kcv and await vault.key_set() == 1
        assert await vault.install_tmk(parts.tmk_block(bytes(range(16)))) != check
        assert await vault.key_set() == 0
        with pytest.raises(KeyMissing):
            await vault.mac("cup-ecb", b"")

    run(main())


def test_working_keys_all_forms(make: Make) -> None:
    single = [parts.PIN_KEY[:8], parts.MAC_KEY]
    track = bytes(range(16))

    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await _ready(vault)
        for key_set, keys, algorithms in (
            (2, single, ["des", "des", None]),
            (3, [parts.PIN_KEY, parts.MAC_KEY], ["tdes2", "des", None]),
            (4, [parts.PIN_KEY, track], ["tdes2", "tdes2", None]),
            (5, [parts.PIN_KEY, parts.MAC_KEY, track], ["tdes2", "des", "tdes2"]),
            (6, single, ["des", "des", None]),  # the track key of set 5 is gone
        ):
            await vault.install_working_keys(parts.field62(keys), key_set)
            status = await vault.status()
            got = [status[n].algorithm if n in status else None for n in ("pin", "mac", "track")]
            assert got == algorithms
            assert await vault.key_set() == key_set
        await vault.forget_working_keys()
        assert not {"pin", "mac", "track"} & set(await vault.status())
        assert await vault.key_set() == 0

    run(main())


def test_working_keys_all_or_none(make: Make) -> None:
    good = parts.field62([parts.PIN_KEY, parts.MAC_KEY, bytes(range(16))])

    async def main() -> None:
        files = MemoryFiles()
        vault, _ = make(files)
        await _ready(vault)
        mac = await vault.mac("x9.9", b"data")
        stored = files.now
        bad = [good[:-1], good + b"\x00", b"", good[:59] + bytes([good[59] ^ 1])]
        for at in (0, 17, 20, 36, 39, 41):
            bad.append(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        for block in bad:
            with pytest.raises(KeyRefused):
                await vault.install_working_keys(block, 9)
            assert await vault.key_set() == 1
            assert await vault.mac("x9.9", b"data") == mac
            assert files.now == stored
        with pytest.raises(KeyRefused):
            await vault.install_working_keys(good, 0)

    run(main())


def test_zero_tail_is_judged_before_deciphering(make: Make) -> None:
    """A double-length MAC key whose clear second half is zero is not single length."""
    odd = parts.MAC_KEY + bytes(8)

    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await _ready(vault)
        await vault.install_working_keys(parts.field62([parts.PIN_KEY, odd]), 2)
        assert (await vault.status())["mac"].algorithm == "tdes2"

    run(main())


def test_zero_tail_is_the_mac_keys_alone(make: Make) -> None:
    """A PIN key so sent is a double-length key whose check value must match as one."""
    block = parts.field62([parts.MAC_KEY, parts.PIN_KEY])

    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await _ready(vault)
        with pytest.raises(KeyRefused, match="pin"):
            await vault.install_working_keys(block, 2)

    run(main())


def test_macs_and_their_verification(make: Make) -> None:
    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await _ready(vault)
        for algorithm in ("cup-ecb", "x9.19", "x9.9"):
            mac = await vault.mac(algorithm, b"0200 something")
            assert len(mac) == 8
            assert await vault.verify_mac(algorithm, b"0200 something", mac)
            assert not await vault.verify_mac(algorithm, b"0200 somethinG", mac)
            assert not await vault.verify_mac(algorithm, b"0200 something", mac[:7])
        assert await vault.mac("cup-ecb", bytes.fromhex("0800")) == b"0B530DFA"
        for wrong in ("aes-cmac", "md5", ""):
            with pytest.raises(VaultError):
                await vault.mac(wrong, b"")

    run(main())


def test_aes_keys_from_an_aes_master_key(make: Make) -> None:
    tmk = bytes(range(32))
    pin_key, mac_key = bytes(range(16)), bytes(range(16, 32))
    aes = backend.aes(tmk)
    block = b""
    for key in (pin_key, mac_key):
        block += aes.encrypt(key) + backend.aes(key).encrypt(bytes(16))[:4]

    async def main() -> None:
        vault, keep = make(MemoryFiles())
        await vault.open()
        await vault.install_transport(parts.TRANSPORT, True)
        await vault.install_tmk(parts.tmk_block(tmk, algorithm="A"))
        await vault.install_working_keys(block, 1)
        status = await vault.status()
        assert [status[n].algorithm for n in ("tmk", "pin", "mac")] == ["aes256"] + ["aes128"] * 2
        assert len(await vault.mac("aes-cmac", b"x")) == 8
        with pytest.raises(VaultError):
            await vault.mac("cup-ecb", b"x")
        handle = keep(b"123456")
        pan = "6222021234567890128"
        made = await vault.pin_block(handle, 4, pan)
        cipher = backend.aes(pin_key)
        account = pin_block.pan_field_4(pan)
        field = bytes(a ^ b for a, b in zip(cipher.decrypt(made), account, strict=True))
        assert cipher.decrypt(field)[:8].hex() == "46123456aaaaaaaa"
        assert await vault.pin_block(handle, 4, pan) != made  # fresh random half
        with pytest.raises(VaultError):
            await vault.pin_block(handle, 0, pan)
        with pytest.raises(KeyRefused):
            await vault.install_working_keys(bytes(24), 2)

    run(main())


def test_pin_block_and_drop(make: Make) -> None:
    async def main() -> None:
        vault, keep = make(MemoryFiles())
        await _ready(vault)
        handle = keep(b"123456")
        assert handle.length == 6
        for _ in range(2):  # the handle stays usable
            made = await vault.pin_block(handle, 0, "6222021234567890128")
            assert made.hex().upper() == "BDFD42DCF960C8B6"
        for block_format, pan in ((4, "6222021234567890128"), (1, "6222021234567890128"), (0, "1")):
            with pytest.raises(VaultError):
                await vault.pin_block(handle, block_format, pan)
        vault.drop_pin(handle)
        vault.drop_pin(handle)
        with pytest.raises(VaultError):
            await vault.pin_block(handle, 0, "6222021234567890128")
        with pytest.raises(VaultError):
            await vault.verify_pin(handle, parts.ListeningCard([]), None)

    run(main())


def test_verify_plaintext(make: Make) -> None:
    async def main() -> None:
        vault, keep = make(MemoryFiles())
        await vault.open()
        card = parts.ListeningCard([(b"", 0x63C2), (b"", 0x9000)])
        handle = keep(b"12345")
        assert await vault.verify_pin(handle, card, None) == 0x63C2
        assert await vault.verify_pin(handle, card, None) == 0x9000
        assert card.commands == [bytes.fromhex("0020008008 2512345FFFFFFFFF")] * 2

    run(main())


def test_verify_enciphered(make: Make) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    numbers = key.private_numbers()
    n = numbers.public_numbers.n
    modulus = n.to_bytes(128, "big")

    async def main() -> None:
        vault, keep = make(MemoryFiles())
        await vault.open()
        card = parts.ListeningCard(
            [(b"CHALLENG", 0x9000), (b"", 0x9000), (b"CHALLENG", 0x9000), (b"", 0x9000)]
        )
        handle = keep(b"1234")
        assert await vault.verify_pin(handle, card, (modulus, 65537)) == 0x9000
        assert card.commands[0] == bytes.fromhex("0084000000")
        assert card.commands[1][:5] == bytes.fromhex("0020008880")
        clear = pow(int.from_bytes(card.commands[1][5:], "big"), numbers.d, n).to_bytes(128, "big")
        assert clear[:17] == b"\x7f" + bytes.fromhex("241234FFFFFFFFFF") + b"CHALLENG"
        assert clear[17:] != bytes(111)
        await vault.verify_pin(handle, card, (modulus, 65537))
        assert card.commands[3] != card.commands[1]  # fresh padding

        for answer in ((b"CHALLENG", 0x6D00), (b"SHORT", 0x9000), (b"", 0x9000)):
            card = parts.ListeningCard([answer])
            assert await vault.verify_pin(handle, card, (modulus, 65537)) == 0
            assert len(card.commands) == 1
        for bad in ((modulus[:60], 3), (modulus, 5), (modulus[:-1] + b"\x00", 3), (b"", 3)):
            card = parts.ListeningCard([(b"CHALLENG", 0x9000)])
            assert await vault.verify_pin(handle, card, bad) == 0
            assert not any(c[:2] == b"\x00\x20" for c in card.commands)

    run(main())


@pytest.mark.parametrize("slot", ["batch", "links"])
def test_seal_lives_as_long_as_its_key(make: Make, slot: str) -> None:
    async def main() -> None:
        files = MemoryFiles()
        vault, _ = make(files)
        await vault.open()
        with pytest.raises(KeyMissing):
            await vault.unseal(slot, bytes(40))
        sealed = await vault.seal(slot, b"6222021234567890128")
        assert b"6222" not in sealed and await vault.seal(slot, b"x") != sealed
        other = "links" if slot == "batch" else "batch"
        await vault.seal(other, b"x")
        with pytest.raises(VaultError):
            await vault.unseal(other, sealed)
        again, _ = make(files.after_cut("lost"))
        await again.open()
        assert await again.unseal(slot, sealed) == b"6222021234567890128"
        for bad in (sealed[:-1], sealed[:20], b"", bytes([sealed[0] ^ 1]) + sealed[1:]):
            with pytest.raises(VaultError):
                await again.unseal(slot, bad)
        with pytest.raises(VaultError):
            await again.seal("pin", b"x")
        await again.destroy(slot)
        with pytest.raises(KeyMissing):
            await again.unseal(slot, sealed)
        await again.seal(slot, b"next batch")
        with pytest.raises(VaultError):
            await again.unseal(slot, sealed)
        with pytest.raises(VaultError):
            await again.destroy("journal")

    run(main())


def test_journal_position_never_goes_back(make: Make) -> None:
    async def main() -> None:
        files = MemoryFiles()
        vault, _ = make(files)
        await vault.open()
        for sequence in (1, 5, 5, 9):
            await vault.note_journal(3, sequence)
        with pytest.raises(VaultError):
            await vault.note_journal(3, 8)
        await vault.note_journal(4, 2)
        assert await vault.journal_position() == (4, 2)
        for wrong in ((-1, 0), (0, -1), (1 << 32, 0), (4, 1 << 63)):
            with pytest.raises(VaultError):
                await vault.note_journal(*wrong)
        before = files.barriers
        await vault.note_journal(4, 3)
        assert files.barriers - before == 1  # rules of the house: one durable barrier
        await vault.note_journal(4, 3)
        assert files.barriers - before == 1  # said twice, written once
        again, _ = make(files.after_cut("lost"))
        await again.open()
        assert await again.journal_position() == (4, 3)

    run(main())


def test_tls_passphrase(make: Make) -> None:
    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await vault.open()
        with pytest.raises(KeyMissing):
            await vault.install_tls_passphrase(parts.sealed_passphrase())
        await vault.install_transport(parts.TRANSPORT, True)
        good = parts.sealed_passphrase()
        wrong = parts.sealed_passphrase(transport=bytes(32))
        for bad in (
            b"",
            good[:-1],
            wrong,
            parts.sealed_passphrase(b""),
            parts.sealed_passphrase(b"\n"),
        ):
            with pytest.raises(KeyRefused):
                await vault.install_tls_passphrase(bad)
        await vault.install_tls_passphrase(good)
        assert await vault.tls_passphrase() == "correct horse"

    run(main())


def test_check_password(make: Make) -> None:
    salt = b"0123456789abcdef"
    stored = (1000).to_bytes(4, "big") + salt + hashlib.pbkdf2_hmac("sha256", b"1234", salt, 1000)

    async def main() -> None:
        vault, _ = make(MemoryFiles())
        await vault.open()
        assert await vault.check_password(stored, b"1234")
        assert not await vault.check_password(stored, b"1235")
        for bad in (stored[:-1], b"", bytes(4) + stored[4:], b"\xff" * 4 + stored[4:]):
            with pytest.raises(VaultError):
                await vault.check_password(bad, b"1234")

    run(main())


def test_erase_is_final_until_the_factory(make: Make) -> None:
    async def main() -> None:
        files = MemoryFiles()
        vault, keep = make(files)
        await _ready(vault)
        await vault.note_journal(1, 1)
        handle = keep(b"1234")
        await vault.erase()
        for call in (
            vault.status(),
            vault.mac("cup-ecb", b""),
            vault.journal_mac(b""),
            vault.note_journal(1, 2),
            vault.install_tmk(parts.tmk_block()),
        ):
            with pytest.raises(VaultTampered):
                await call
        with pytest.raises(VaultError):
            await vault.verify_pin(handle, parts.ListeningCard([]), None)
        disk = files.after_cut("lost")
        again, _ = make(disk)
        for _ in range(2):
            with pytest.raises(VaultTampered):
                await again.open()
        await again.install_transport(parts.TRANSPORT, True)
        assert set(await again.status()) == {"transport", "token", "journal"}
        assert await again.journal_position() == (0, 0)
        third, _ = make(disk.after_cut("lost"))
        await third.open()
        assert "transport" in await third.status()

    run(main())


def test_the_link_key_is_made_once_and_stays_inside(make: Make) -> None:
    async def main() -> None:
        files = MemoryFiles()
        vault, _ = make(files)
        with pytest.raises(VaultError):
            await vault.link_key()  # not open yet
        await vault.open()
        assert "pc" not in await vault.status()
        key = await vault.link_key()
        assert (await vault.status())["pc"].kcv == hashlib.sha256(key.public).hexdigest()[
            :6
        ].upper()
        other = KeyPair(bytes([5]) * 32)
        secret = key.dh(other.public)
        assert secret == other.dh(key.public) and len(secret) == 32
        assert not [name for name in vars(key) if name not in ("public", "_vault")]
        for refused in (bytes(32), b"\x01" + bytes(31), bytes(31)):
            with pytest.raises(CryptoError):
                key.dh(refused)

        again, _ = make(files.after_cut("lost"))
        await again.open()
        after = await again.link_key()
        assert after.public == key.public and after.dh(other.public) == secret
        with pytest.raises(VaultError):
            await again.destroy("pc")
        await again.erase()
        with pytest.raises(VaultTampered):
            after.dh(other.public)
        with pytest.raises(VaultTampered):
            await again.link_key()
        await again.install_transport(parts.TRANSPORT, True)
        assert len((await again.link_key()).public) == 32

    run(main())
