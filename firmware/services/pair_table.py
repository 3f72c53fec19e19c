"""The PCs that this terminal is paired with (docs/link.md, Pairing).

``pairs.cbor`` is sealed as a whole under the vault's slot ``pairs`` and dies with the vault's
keys. A file that does not verify is refused by name: until a PC is paired anew there are none.
"""

from firmware import aio, cbor
from firmware.errors import TillError
from firmware.hal.files import NoSuchFile
from firmware.link.services import KEY_LOAD, REGISTER, SERVICE, SYNC, UPDATE, fingerprint
from firmware.services.fields import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.files import Files
    from firmware.hal.vault import Vault

FILE = "pairs.cbor"
SLOT = "pairs"
MOST = 16
#: When a PC was last seen is written at most so often, in seconds.
SEEN_S = 3600
ROLES = (SYNC, REGISTER, SERVICE, UPDATE, KEY_LOAD)
_VERSION = 1
_MOST_FILE = 8192
_LAST_SECOND = 1 << 40


class PairsLost(TillError):
    """The table does not verify, or is not ours: no PC is paired any more."""

    text_key = "error.pairs"


class PairsFull(TillError):
    """One has to be revoked first."""

    text_key = "error.pairs_full"


class Pair:
    """``key``: the PC's static key. ``name``: as it was shown when the merchant agreed.
    ``roles``: of ROLES. ``made``, ``seen``: Unix seconds, 0 while the clock was dead."""

    def __init__(
        self, key: bytes, name: str, roles: "tuple[str, ...]", made: int, seen: int
    ) -> None:
        self.key = key
        self.name = name
        self.roles = roles
        self.made = made
        self.seen = seen

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits."""
        return fingerprint(self.key)


class PairTable:
    """``pairs`` as it stands, the oldest first; empty before ``load``."""

    def __init__(self, files: "Files", vault: "Vault") -> None:
        self._files = files
        self._vault = vault
        self._lock = aio.Lock()
        self.pairs: "list[Pair]" = []

    def find(self, key: bytes) -> "Pair | None":
        """The entry of a static key."""
        for pair in self.pairs:
            if pair.key == key:
                return pair
        return None

    def named(self, of: str) -> "Pair | None":
        """The entry of a fingerprint."""
        for pair in self.pairs:
            if pair.fingerprint == of:
                return pair
        return None

    def forget(self) -> None:
        """Know none from now on; what is kept stays."""
        self.pairs = []

    async def load(self) -> None:
        """Read what is kept. PairsLost, FilesError."""
        self.pairs = []
        try:
            sealed = await self._files.read(FILE, 0, _MOST_FILE + 1)
        except NoSuchFile:
            return
        try:
            self.pairs = _decoded(await self._vault.unseal(SLOT, sealed))
        except (TillError, ValueError) as error:
            raise PairsLost(FILE + ": " + str(error)) from None

    async def add(self, pair: Pair) -> None:
        """Keep a pair, in place of one with the same key. Durable, or it is none.
        PairsFull, FilesError, VaultError."""
        async with self._lock:
            others = [one for one in self.pairs if one.key != pair.key]
            if len(others) >= MOST:
                raise PairsFull(str(MOST) + " PCs are paired")
            await self._save(others + [pair])
            self.pairs = others + [pair]

    async def revoke(self, of: str) -> "Pair | None":
        """Take the entry of a fingerprint out; it counts at once, also if the storage then
        fails (FilesError, VaultError: the next start may know it again)."""
        async with self._lock:
            gone = self.named(of)
            if gone is not None:
                self.pairs = [pair for pair in self.pairs if pair is not gone]
                await self._save(self.pairs)
            return gone

    async def saw(self, key: bytes, now: int) -> None:
        """Note that a PC is there; kept now and then. FilesError, VaultError."""
        async with self._lock:
            pair = self.find(key)
            if pair is None:
                return
            before, pair.seen = pair.seen, now
            if not 0 <= now - before < SEEN_S:
                await self._save(self.pairs)

    async def _save(self, pairs: "list[Pair]") -> None:
        await self._files.replace(FILE, await self._vault.seal(SLOT, _encoded(pairs)))


def _encoded(pairs: "list[Pair]") -> bytes:
    """1 version, 2 pairs: 1 key, 2 name, 3 roles, 4 made, 5 seen."""
    return cbor.encode(
        {
            1: _VERSION,
            2: [
                {1: one.key, 2: one.name, 3: list(one.roles), 4: one.made, 5: one.seen}
                for one in pairs
            ],
        }
    )


def _decoded(plain: bytes) -> "list[Pair]":
    """Inverse. FieldError, CborError."""
    fields = Fields(cbor.decode(plain, max_size=_MOST_FILE), "pairs")
    fields.number(1, "version", _VERSION, _VERSION)
    pairs: "list[Pair]" = []
    for each in fields.tables(2, "pairs", 0, MOST):
        key, name = each.octets(1, "key", 32, 32), each.text(2, "name", 1, 40)
        roles = each.items(3, "roles", 1, len(ROLES))
        for role in roles:
            if role not in ROLES:
                raise each.wrong(3, "roles", "not a role")
        made, seen = (each.number(at, "time", 0, _LAST_SECOND) for at in (4, 5))
        each.end()
        pairs.append(Pair(key, name, tuple(roles), made, seen))
    fields.end()
    return pairs
