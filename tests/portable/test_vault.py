"""The vault, the PIN pad and provisioning, as both interpreters run them."""

from firmware import aio
from firmware.drivers.pin_pad import PinPad
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.keypad import Keypad
from firmware.hal.vault import KeyMissing, KeyRefused, VaultTampered
from firmware.services import provisioning
from tests.support import bundle_parts, vault_parts
from tests.support.memory_files import MemoryFiles


async def refused(error, call):
    try:
        await call
    except error as caught:
        return caught.detail
    raise AssertionError("not refused")


def test_keys_from_the_factory_to_a_mac():
    async def main():
        files = MemoryFiles(
            {"factory.cbor": bundle_parts.factory(), "bundle.cbor": bundle_parts.bundle()}
        )
        vault = SoftVault(files, vault_parts.SeededEntropy())
        await vault.open()
        serial = bundle_parts.SERIAL
        assert await provisioning.factory_install(files, vault, serial)
        provision = await provisioning.load(files, bundle_parts.trust(), serial)
        await provisioning.install(vault, provision)
        assert await files.list() == ["bundle.cbor", "device.key", "vault.bin", "vault.seq"]
        assert provision.test and provision.merchant.name_zh == "\u5546\u5e97"
        keys = vault_parts.field62([vault_parts.PIN_KEY, vault_parts.MAC_KEY])
        await vault.install_working_keys(keys, 3)
        again = SoftVault(files.after_cut("lost"), vault_parts.SeededEntropy())
        await again.open()
        assert await again.key_set() == 3
        assert await again.mac("cup-ecb", bytes.fromhex("0800")) == b"0B530DFA"
        assert await again.tls_passphrase() == "correct horse"
        await refused(KeyRefused, again.install_working_keys(keys[:-1], 4))
        sealed = await again.seal("batch", b"pan")
        assert await again.unseal("batch", sealed) == b"pan"
        await again.destroy("batch")
        await refused(KeyMissing, again.unseal("batch", sealed))
        await again.note_journal(1, 7)
        assert await again.journal_position() == (1, 7)
        await again.erase()
        await refused(VaultTampered, again.open())

    aio.run(main())


def test_password():
    from firmware.crypto.hashes import pbkdf2_sha256

    async def main():
        vault = SoftVault(MemoryFiles(), vault_parts.SeededEntropy())
        await vault.open()
        stored = (120).to_bytes(4, "big") + b"salt" * 4
        stored += pbkdf2_sha256(b"1234", b"salt" * 4, 120)
        assert await vault.check_password(stored, b"1234")
        assert not await vault.check_password(stored, b"12345")

    aio.run(main())


class Keys(Keypad):
    def __init__(self, names):
        self.names = list(names)
        self.claimed = False

    def claim(self):
        self.claimed = True
        return self

    async def read_claimed(self, token):
        await aio.sleep_ms(0)
        return self.names.pop(0)

    def release(self, token):
        self.claimed = False


def test_a_pin_from_key_to_block_and_card():
    async def main():
        vault = SoftVault(MemoryFiles(), vault_parts.SeededEntropy())
        await vault.open()
        await vault.install_transport(vault_parts.TRANSPORT, True)
        await vault.install_tmk(vault_parts.tmk_block())
        keys = vault_parts.field62([vault_parts.PIN_KEY, vault_parts.MAC_KEY])
        await vault.install_working_keys(keys, 1)
        keypad = Keys(["9", "clear", "1", "2", "3", "4", "5", "00", "6", "enter"])
        counts = []
        handle = await PinPad(keypad, vault.pins).enter(counts.append)
        assert counts == [1, 0, 1, 2, 3, 4, 5, 6] and not keypad.claimed
        block = await vault.pin_block(handle, 0, "6222021234567890128")
        assert block == bytes.fromhex("BDFD42DCF960C8B6")
        card = vault_parts.ListeningCard([(b"", 0x9000), (b"12345678", 0x9000), (b"", 0x63C1)])
        assert await vault.verify_pin(handle, card, None) == 0x9000
        modulus = b"\xff" + bytes(126) + b"\x01"
        assert await vault.verify_pin(handle, card, (modulus, 3)) == 0x63C1
        assert [len(command) for command in card.commands] == [13, 5, 133]
        vault.drop_pin(handle)

    aio.run(main())
