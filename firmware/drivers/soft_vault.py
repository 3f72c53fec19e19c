"""The vault in software, on ``hal.files``.

Everything at rest is sealed under a device key in a file of its own: that
protects against the theft of single files, not of the device
(docs/threat-model.md). A change is durable before it counts.
"""

from firmware import aio
from firmware.crypto import (
    CryptoError,
    backend,
    hashes,
    kcv,
    mac,
    pin_block,
    wipe,
    working_keys,
    wrap,
)
from firmware.crypto.key_block import unwrap as unwrap_key_block
from firmware.drivers import card_verify
from firmware.drivers.pin_store import PinStore
from firmware.drivers.vault_position import NOTES_PER_STEP
from firmware.drivers.vault_store import Slot, State, VaultStore
from firmware.hal.vault import (
    KeyMissing,
    KeyRefused,
    LinkKey,
    SlotStatus,
    Vault,
    VaultError,
    VaultTampered,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.card_reader import CardChannel
    from firmware.hal.counter import Counter
    from firmware.hal.entropy import Entropy
    from firmware.hal.files import Files
    from firmware.hal.pin_entry import PinHandle

_WORKING = ("pin", "mac", "track")
#: Slots that ``destroy`` may empty; the others die only with the whole vault.
_MORTAL = ("batch", "links", "pairs", "tmk", "tls") + _WORKING
#: Slots that seal, and what their seals are bound to.
_LABELS = {
    "batch": b"OpenTill batch 1",
    "links": b"OpenTill links 1",
    "pairs": b"OpenTill pairs 1",
}
#: Longest accepted PBKDF2 work: seconds on a microcontroller, hours for nobody.
_MOST_ITERATIONS = 1000000
_PASSPHRASE = "passphrase"
_HMAC = "hmac-sha256"
_X25519 = "x25519"


class SoftVault(Vault):
    """``pins`` is shared with the PIN pad; one is made when absent. ``counter``: notices old
    copies of the files; it takes a step every ``every`` notes (vault_position.py)."""

    def __init__(
        self,
        files: "Files",
        entropy: "Entropy",
        pins: "PinStore | None" = None,
        counter: "Counter | None" = None,
        every: int = NOTES_PER_STEP,
    ) -> None:
        self.pins = pins if pins is not None else PinStore()
        self._entropy = entropy
        self._store = VaultStore(files, entropy, counter, every)
        self._state: "State | None" = None
        self._erased = False
        self._lock = aio.Lock()

    async def open(self) -> None:
        async with self._lock:
            self._close()
            try:
                state = await self._store.load()
            except VaultTampered:
                self._erased = True
                raise
            if state is None:
                state = self._fresh()
                await self._store.create(state)
            self._erased = False
            self._state = state

    async def check(self) -> None:
        async with self._lock:
            self._now()
            await self._store.check()

    async def status(self) -> "dict[str, SlotStatus]":
        slots = self._now().slots
        transport = slots.get("transport")
        result: "dict[str, SlotStatus]" = {}
        for name in slots:
            slot = slots[name]
            shown = "" if slot.algorithm == _PASSPHRASE else kcv.shown(slot.algorithm, slot.key)
            # A key that this device made counts as a test key while the terminal is a test one.
            test = slot.test or (slot.own and transport is not None and transport.test)
            result[name] = SlotStatus(slot.algorithm, shown, test)
        return result

    async def key_set(self) -> int:
        return self._now().key_set

    async def install_transport(self, key: bytes, test: bool) -> None:
        if len(key) != 32:
            raise KeyRefused("a transport key has 32 bytes, not " + str(len(key)))
        async with self._lock:
            slot = Slot("aes256", bytearray(key), test)
            if self._erased:  # a new life: nothing of the old one can be read any more
                await self._store.erase()
                state = self._fresh()
                state.slots["transport"] = slot
                await self._store.create(state)
                self._erased = False
                self._state = state
                return
            state = self._now().copy()
            if "transport" in state.slots:
                raise KeyRefused("a transport key is installed")
            state.slots["transport"] = slot
            await self._commit(state)

    async def install_tmk(self, key_block: str) -> str:
        async with self._lock:
            state = self._now().copy()
            transport = self._slot("transport")
            try:
                header, key = unwrap_key_block(transport.key, key_block)
            except CryptoError as error:
                raise KeyRefused(error.detail) from None
            if header.version != "D" or header.usage != "K0" or header.mode not in "BDN":
                wipe(key)
                raise KeyRefused("the key block holds no key-encryption key for this terminal")
            algorithm = _algorithm(header.algorithm, len(key))
            if algorithm is None:
                wipe(key)
                raise KeyRefused("the key block's key has a length that its algorithm lacks")
            check = kcv.shown(algorithm, key)
            old = state.slots.get("tmk")
            if old is not None and old.algorithm == algorithm and hashes.same(old.key, key):
                wipe(key)
                return check
            # Working keys came under the old master key; the host will send new ones.
            self._drop_working(state)
            state.slots["tmk"] = Slot(algorithm, key, transport.test)
            await self._commit(state)
            return check

    async def install_working_keys(self, field62: bytes, key_set: int) -> None:
        if not 1 <= key_set <= 0xFFFFFFFF:
            raise KeyRefused("no key set " + str(key_set))
        async with self._lock:
            state = self._now().copy()
            tmk = self._slot("tmk")
            try:
                keys = working_keys.unwrap(tmk.algorithm, tmk.key, field62)
            except CryptoError as error:
                raise KeyRefused(error.detail) from None
            self._drop_working(state)
            for name, algorithm, key in keys:
                state.slots[name] = Slot(algorithm, key, tmk.test)
            state.key_set = key_set
            await self._commit(state)

    async def forget_working_keys(self) -> None:
        async with self._lock:
            state = self._now().copy()
            if self._drop_working(state):
                await self._commit(state)

    async def mac(self, algorithm: str, message: bytes) -> bytes:
        slot = self._slot("mac")
        if algorithm == "aes-cmac":
            if slot.algorithm[:3] != "aes":
                raise VaultError("the MAC key is " + slot.algorithm + ", not AES")
            return mac.aes_cmac(slot.key, message)[:8]
        if slot.algorithm not in ("des", "tdes2"):
            raise VaultError("the MAC key is " + slot.algorithm + ", not for " + algorithm)
        if algorithm == "cup-ecb":
            return mac.cup_ecb(slot.key, message)
        if algorithm == "x9.19":
            return mac.x9_19(slot.key, message)
        if algorithm == "x9.9":
            return mac.x9_9(slot.key, message)
        raise VaultError("no MAC algorithm " + algorithm)

    async def verify_mac(self, algorithm: str, message: bytes, mac: bytes) -> bool:
        return hashes.same(await self.mac(algorithm, message), mac)

    async def pin_block(self, handle: "PinHandle", block_format: int, pan: str) -> bytes:
        slot = self._slot("pin")
        digits = self.pins.digits(handle)
        aes = slot.algorithm[:3] == "aes"
        if block_format not in (0, 4) or aes != (block_format == 4):
            raise VaultError(
                "no PIN block of format " + str(block_format) + " under " + slot.algorithm
            )
        try:
            if aes:
                return pin_block.encipher_4(slot.key, digits, pan, self._entropy.random(8))
            return pin_block.encipher_0(slot.key, digits, pan)
        except CryptoError as error:
            raise VaultError(error.detail) from None

    async def verify_pin(
        self,
        handle: "PinHandle",
        channel: "CardChannel",
        enciphered: "tuple[bytes, int] | None",
    ) -> int:
        digits = self.pins.digits(handle)
        if enciphered is None:
            return await card_verify.verify_plaintext(channel, digits)
        return await card_verify.verify_enciphered(
            channel, digits, enciphered[0], enciphered[1], self._entropy
        )

    def drop_pin(self, handle: "PinHandle") -> None:
        self.pins.drop(handle)

    async def seal(self, slot: str, plain: bytes) -> bytes:
        label = _label(slot)
        await self._make("aes256", slot)
        nonce = self._entropy.random(wrap.NONCE)
        return wrap.seal(self._slot(slot).key, label, plain, nonce)

    async def unseal(self, slot: str, sealed: bytes) -> bytes:
        label = _label(slot)
        try:
            return bytes(wrap.unseal(self._slot(slot).key, label, sealed))
        except CryptoError as error:
            raise VaultError(error.detail) from None

    async def destroy(self, slot: str) -> None:
        if slot not in _MORTAL:
            raise VaultError("slot " + slot + " cannot be destroyed by itself")
        async with self._lock:
            state = self._now().copy()
            if state.slots.pop(slot, None) is not None:
                if slot in _WORKING:
                    state.key_set = 0  # a set is whole or it is none
                await self._commit(state)

    async def link_key(self) -> LinkKey:
        await self._make(_X25519, "pc")
        return _PcKey(self)

    async def token(self, data: bytes) -> bytes:
        return hashes.hmac_sha256(self._slot("token").key, data)[:16]

    async def journal_mac(self, data: bytes) -> bytes:
        return hashes.hmac_sha256(self._slot("journal").key, data)[:16]

    async def note_journal(self, epoch: int, sequence: int) -> None:
        if not (0 <= epoch < 1 << 32 and 0 <= sequence < 1 << 63):
            raise VaultError("no journal position " + str((epoch, sequence)))
        async with self._lock:
            self._now()
            await self._store.note(epoch, sequence)

    async def journal_position(self) -> "tuple[int, int]":
        self._now()
        return self._store.position

    async def tls_passphrase(self) -> str:
        return bytes(self._slot("tls").key).decode()

    async def install_tls_passphrase(self, sealed: bytes) -> None:
        async with self._lock:
            state = self._now().copy()
            transport = self._slot("transport")
            try:
                plain = wrap.unseal(transport.key, wrap.TLS_PASSPHRASE, sealed)
            except CryptoError as error:
                raise KeyRefused(error.detail) from None
            if not 1 <= len(plain) <= 256 or min(plain) < 0x20 or max(plain) > 0x7E:
                wipe(plain)
                raise KeyRefused("the passphrase is not 1 to 256 printable ASCII characters")
            old = state.slots.get("tls")
            if old is not None and hashes.same(old.key, plain):
                wipe(plain)
                return
            state.slots["tls"] = Slot(_PASSPHRASE, plain, transport.test)
            await self._commit(state)

    async def check_password(self, stored: bytes, typed: bytes) -> bool:
        iterations = int.from_bytes(stored[:4], "big")
        if len(stored) != 52 or not 1 <= iterations <= _MOST_ITERATIONS:
            raise VaultError("a stored password is malformed")
        if hashes.NATIVE_PBKDF2:
            made = hashes.pbkdf2_sha256(typed, stored[4:20], iterations)
        else:
            work = hashes.Pbkdf2(typed, stored[4:20], iterations)
            while not work.step(50):
                await aio.sleep_ms(0)  # others run meanwhile: this takes long here
            made = work.result()
        return hashes.same(made, stored[20:])

    async def erase(self) -> None:
        self._erased = True  # before any wait: from here nothing answers
        self._close()
        await aio.protected(self._erase())

    async def _erase(self) -> None:
        async with self._lock:
            await self._store.erase()

    # -- inside ---------------------------------------------------------------------

    def _close(self) -> None:
        """Wipe what RAM holds."""
        if self._state is not None:
            for slot in self._state.slots.values():
                wipe(slot.key)
        self._state = None
        self._store.forget()
        self.pins.drop_all()

    def _now(self) -> State:
        if self._erased:
            raise VaultTampered("the vault is erased or does not verify")
        if self._state is None:
            raise VaultError("the vault is not open")
        return self._state

    def _slot(self, name: str) -> Slot:
        slot = self._now().slots.get(name)
        if slot is None:
            raise KeyMissing("slot " + name + " is empty")
        return slot

    async def _make(self, algorithm: str, name: str) -> None:
        """Fill an empty slot with a key of this device's own, durably."""
        if name in self._now().slots:
            return
        async with self._lock:
            state = self._now().copy()
            if name not in state.slots:  # another task may have been first
                state.slots[name] = self._made(algorithm)
                await self._commit(state)

    def pc_secret(self, public: "bytes | bytearray | None") -> bytes:
        """For ``_PcKey`` alone: what the private half shares with ``public``; None: its own
        public half."""
        from firmware.crypto import x25519

        key = self._slot("pc").key
        return x25519.public(key) if public is None else x25519.shared(key, public)

    def _made(self, algorithm: str) -> Slot:
        return Slot(algorithm, bytearray(self._entropy.random(32)), False, True)

    def _fresh(self) -> State:
        return State({"token": self._made(_HMAC), "journal": self._made(_HMAC)}, 0)

    def _drop_working(self, state: State) -> bool:
        found = state.key_set != 0
        for name in _WORKING:
            if state.slots.pop(name, None) is not None:
                found = True
        state.key_set = 0
        return found

    async def _commit(self, state: State) -> None:
        """Durable first; then it counts, and what it replaced is wiped. A cancelled
        caller does not part storage from RAM: the section runs to its end."""
        await aio.protected(self._commit_now(state))

    async def _commit_now(self, state: State) -> None:
        before = self._now()
        kept = False
        try:
            await self._store.save(state)
            kept = not self._erased
        finally:
            _wipe_other(state if not kept else before, before if not kept else state)
        self._now()
        self._state = state


class _PcKey(LinkKey):
    def __init__(self, vault: SoftVault) -> None:
        self._vault = vault
        self.public = vault.pc_secret(None)

    def dh(self, public: "bytes | bytearray") -> bytes:
        return self._vault.pc_secret(public)


def _wipe_other(dying: State, living: State) -> None:
    """Wipe the keys of ``dying`` that ``living`` does not hold."""
    for name in dying.slots:
        slot = dying.slots[name]
        if living.slots.get(name) is not slot:
            wipe(slot.key)


def _algorithm(name: str, size: int) -> "str | None":
    """Slot algorithm of a key block's algorithm letter and key length."""
    for algorithm in ("tdes2", "tdes3") if name == "T" else ("aes128", "aes192", "aes256"):
        if name in ("T", "A") and backend.LENGTHS[algorithm] == size:
            return algorithm
    return None


def _label(slot: str) -> bytes:
    if slot not in _LABELS:
        raise VaultError("slot " + slot + " does not seal")
    return _LABELS[slot]
