"""How the software vault lies on storage.

``device.key``   "OTDEVKEY1" | 32 random bytes | 8 bytes of their SHA-256; or "OTERASED1"
``vault.seq``    the journal's position (firmware/drivers/vault_position.py)
``vault.bin``    "OTVAULT1" | sealed state (firmware/crypto/wrap.py) under the device key

They are made in this order, so that a first boot cut anywhere is resumed, and
any other absence is tampering. All numbers big endian.
"""

from firmware.crypto import CryptoError, hashes, wipe, wrap
from firmware.drivers.vault_position import MOST_FILE, POSITION, PositionFile
from firmware.hal.files import NoSuchFile
from firmware.hal.vault import VaultError, VaultTampered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.counter import Counter
    from firmware.hal.entropy import Entropy
    from firmware.hal.files import Files

DEVICE = "device.key"
STATE = "vault.bin"

_DEVICE_MAGIC = b"OTDEVKEY1"
_ERASED = b"OTERASED1"
_STATE_MAGIC = b"OTVAULT1"
_LABEL = b"OpenTill vault 1"
#: No vault is near this; a larger file is not ours.
_MOST_STATE = 65536


class Slot:
    """A key. ``own``: made by this device, never a published one by itself."""

    def __init__(self, algorithm: str, key: bytearray, test: bool, own: bool = False) -> None:
        self.algorithm = algorithm
        self.key = key
        self.test = test
        self.own = own


class State:
    """What ``vault.bin`` holds."""

    def __init__(self, slots: "dict[str, Slot]", key_set: int) -> None:
        self.slots = slots
        self.key_set = key_set

    def copy(self) -> "State":
        """Another table of the same slots."""
        slots: "dict[str, Slot]" = {}
        slots.update(self.slots)
        return State(slots, self.key_set)


def encode(state: State) -> bytearray:
    """Key set (4), count (1), then for each slot name, algorithm (length byte
    first), flags, length of key (2), key."""
    out = bytearray(state.key_set.to_bytes(4, "big"))
    out.append(len(state.slots))
    for name in sorted(state.slots):
        slot = state.slots[name]
        for text in (name, slot.algorithm):
            out.append(len(text))
            out.extend(text.encode())
        out.append((1 if slot.test else 0) | (2 if slot.own else 0))
        out.extend(len(slot.key).to_bytes(2, "big"))
        out.extend(slot.key)
    return out


def decode(plain: bytearray) -> State:
    """Inverse of encode. VaultTampered for what encode never makes."""
    reader = _Reader(plain)
    key_set = int.from_bytes(reader.take(4), "big")
    slots: "dict[str, Slot]" = {}
    for _ in range(reader.take(1)[0]):
        name = reader.text()
        algorithm = reader.text()
        flags = reader.take(1)[0]
        size = int.from_bytes(reader.take(2), "big")
        slots[name] = Slot(algorithm, reader.take(size), flags & 1 != 0, flags & 2 != 0)
    if reader.at != len(plain):
        raise VaultTampered("vault state is malformed")
    return State(slots, key_set)


class _Reader:
    def __init__(self, data: bytearray) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytearray:
        end = self.at + count
        if end > len(self._data):
            raise VaultTampered("vault state is malformed")
        part = self._data[self.at : end]
        self.at = end
        return part

    def text(self) -> str:
        return bytes(self.take(self.take(1)[0])).decode()


class VaultStore:
    """Reads and writes the three files. Errors of ``Files`` and of the counter pass through."""

    def __init__(
        self, files: "Files", entropy: "Entropy", counter: "Counter | None", every: int
    ) -> None:
        """``counter``, ``every``: as for PositionFile."""
        self._files = files
        self._entropy = entropy
        self._device = bytearray()
        self._notes = PositionFile(files, entropy, counter, every)

    @property
    def position(self) -> "tuple[int, int]":
        """(epoch, sequence) as last noted; no journal's while the files are an old copy."""
        return self._notes.position

    async def load(self) -> "State | None":
        """The stored state; None when there is no vault yet, or its making was cut.

        VaultTampered: erased, missing, altered. VaultError: other version.
        CounterError and its kinds: the counter is not as this vault left it.
        """
        await self.close()
        device = await self._read(DEVICE, 256)
        position = await self._read(POSITION, MOST_FILE)
        sealed = await self._read(STATE, _MOST_STATE)
        if device is None:
            if position is not None or sealed is not None:
                raise VaultTampered(DEVICE + " is missing")
            return None
        self._take_device(device)
        if position is None:
            if sealed is not None:
                raise VaultTampered(POSITION + " is missing")
            return None
        await self._notes.load(position)
        if sealed is None:
            if self.position != (0, 0):
                raise VaultTampered(STATE + " is missing")
            return None
        return self._unseal(sealed)

    async def create(self, state: State) -> None:
        """Make a vault; goes on with a device key that a cut first boot left."""
        if not self._device:
            key = bytearray(self._entropy.random(32))
            await self._files.replace(DEVICE, _DEVICE_MAGIC + bytes(key) + _check(key))
            self._set_device(key)
        await self._notes.create()
        await self.save(state)

    async def save(self, state: State) -> None:
        """Write the state durably; the old one stays whole until then."""
        plain = encode(state)
        try:
            sealed = wrap.seal(self._device, _LABEL, plain, self._entropy.random(wrap.NONCE))
        finally:
            wipe(plain)
        await self._files.replace(STATE, _STATE_MAGIC + sealed)

    async def note(self, epoch: int, sequence: int) -> None:
        """Make (epoch, sequence) the position, at the cost of one sync."""
        await self._notes.note(epoch, sequence)

    async def check(self) -> None:
        """Hold the counter, where there is one, against what it should read."""
        await self._notes.check()

    async def erase(self) -> None:
        """Destroy the device key first, in one durable write; then the rest."""
        self.forget()
        await self._files.replace(DEVICE, _ERASED)
        await self.close()
        for name in (STATE, POSITION):
            try:
                await self._files.remove(name)
            except NoSuchFile:
                continue  # a vault that was never used, or erased before
        await self._files.sync_folder()

    def forget(self) -> None:
        """Wipe what RAM holds."""
        wipe(self._device)
        self._device = bytearray()
        self._notes.forget()

    async def close(self) -> None:
        """Close the position file."""
        await self._notes.close()

    async def _read(self, name: str, most: int) -> "bytes | None":
        try:
            data = await self._files.read(name, 0, most + 1)
        except NoSuchFile:
            return None
        if len(data) > most:
            raise VaultTampered(name + " is larger than any that was written")
        return data

    def _take_device(self, data: bytes) -> None:
        if data == _ERASED:
            raise VaultTampered("the vault erased itself")
        size = len(_DEVICE_MAGIC)
        if len(data) != size + 40 or data[:size] != _DEVICE_MAGIC:
            raise VaultTampered(DEVICE + " is malformed")
        key = bytearray(data[size : size + 32])
        if not hashes.same(_check(key), data[size + 32 :]):
            raise VaultTampered(DEVICE + " does not verify")
        self._set_device(key)

    def _set_device(self, key: bytearray) -> None:
        self._device = key
        self._notes.take_key(key)

    def _unseal(self, data: bytes) -> State:
        size = len(_STATE_MAGIC)
        if len(data) <= size or data[: size - 1] != _STATE_MAGIC[:-1]:
            raise VaultTampered(STATE + " is malformed")
        if data[:size] != _STATE_MAGIC:
            raise VaultError(STATE + " is of another version")
        try:
            plain = wrap.unseal(self._device, _LABEL, data[size:])
        except CryptoError as error:
            raise VaultTampered(STATE + ": " + error.detail) from None
        try:
            return decode(plain)
        finally:
            wipe(plain)


def _check(key: bytearray) -> bytes:
    return hashes.sha256(key)[:8]
