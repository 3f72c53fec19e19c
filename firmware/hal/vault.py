"""Contract: the vault, the one room where secrets live.

Callers name slots and never see key bytes. Slots and operations carry
algorithm names, so that AES and SM4 keys fit without touching callers.
Slot names: ``transport`` (key-block protection key that TMKs arrive under),
``tmk``, ``pin``, ``mac``, ``track``, ``batch`` (seals PANs, dies with the
batch), ``links`` (seals passwords and PINs of links), ``pairs`` (seals the table of
paired PCs), ``pc`` (this terminal's own key on the PC link), ``token`` (PAN tokens),
``journal`` (checkpoint MACs), ``tls`` (passphrase of the TLS client key). A slot's
status names its algorithm, check value and whether it is a published test key.
"""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.card_reader import CardChannel
    from firmware.hal.pin_entry import PinHandle


class VaultError(TillError):
    """The vault refused or failed."""

    text_key = "error.vault"


class KeyMissing(VaultError):
    """The named slot is empty."""

    text_key = "error.key_missing"


class KeyRefused(VaultError):
    """A key block, check value or wrapped key is not valid; nothing was installed."""

    text_key = "error.key_refused"


class VaultTampered(VaultError):
    """The vault erased itself, or its file does not verify."""

    text_key = "error.tamper"


class SlotStatus:
    """``algorithm``: "des", "tdes2", "tdes3", "aes128", "aes192", "aes256",
    "hmac-sha256", "x25519", "passphrase". ``kcv``: check value, upper-case hex ("" for
    a passphrase; of "x25519" the beginning of the public key's fingerprint).
    ``test``: a published test key or one that came under it; keys that the device
    made itself say what its transport key says."""

    def __init__(self, algorithm: str, kcv: str, test: bool) -> None:
        self.algorithm = algorithm
        self.kcv = kcv
        self.test = test


class LinkKey:
    """A key pair of X25519 whose private half stays in the vault. ``public``: 32 bytes."""

    public = b""

    def dh(self, public: "bytes | bytearray") -> bytes:
        """The 32 bytes shared with ``public``. CryptoError for a point of low order,
        VaultError once the vault was erased."""
        raise NotImplementedError


class Vault:
    """Key slots and the operations allowed with each."""

    async def open(self) -> None:
        """Load and verify; made empty (device key from entropy) on first use.

        Raises VaultTampered when the stored form does not verify, VaultError
        for an unknown version.
        """
        raise NotImplementedError

    async def check(self) -> None:
        """Ask a chip that stands behind an open vault whether it is as the vault left it.
        Nothing is changed or worn. VaultError."""

    async def status(self) -> "dict[str, SlotStatus]":
        """The filled slots."""
        raise NotImplementedError

    async def key_set(self) -> int:
        """Number of the installed working-key set, 0 for none."""
        raise NotImplementedError

    async def install_transport(self, key: bytes, test: bool) -> None:
        """Factory act: the AES-256 key-block protection key. KeyRefused if one
        is installed (erase first). On an erased vault it starts a new one."""
        raise NotImplementedError

    async def install_tmk(self, key_block: str) -> str:
        """Unwrap a TR-31 version D block (ANSI X9.143) of usage K0 under
        ``transport``; returns the check value. KeyRefused."""
        raise NotImplementedError

    async def install_working_keys(self, field62: bytes, key_set: int) -> None:
        """Unwrap the sign-in answer's key block (24, 40 or 60 bytes: PIN key,
        MAC key, track key each with a 4-byte check value; rules of money, 14)
        under ``tmk``; checks all, installs all or none. KeyRefused."""
        raise NotImplementedError

    async def forget_working_keys(self) -> None:
        """Empty ``pin``, ``mac`` and ``track``."""
        raise NotImplementedError

    async def mac(self, algorithm: str, message: bytes) -> bytes:
        """8 bytes for field 64 under ``mac``. ``algorithm``: "cup-ecb" (UnionPay
        ECB MAC), "x9.19", "x9.9", "aes-cmac" (first 8 bytes). KeyMissing."""
        raise NotImplementedError

    async def verify_mac(self, algorithm: str, message: bytes, mac: bytes) -> bool:
        """Constant-time comparison with ``mac``."""
        raise NotImplementedError

    async def pin_block(self, handle: "PinHandle", block_format: int, pan: str) -> bytes:
        """Enciphered PIN block, ISO 9564-1 format 0 (8 bytes, TDES ``pin``) or
        4 (16 bytes, AES ``pin``). The handle stays usable. KeyMissing."""
        raise NotImplementedError

    async def verify_pin(
        self,
        handle: "PinHandle",
        channel: "CardChannel",
        enciphered: "tuple[bytes, int] | None",
    ) -> int:
        """Send VERIFY to the card: plaintext, or enciphered under the card's
        (modulus, exponent) after GET CHALLENGE (EMV 4.4 Book 2, 7). Returns
        the status word, 0 when no VERIFY was sent: GET CHALLENGE failed, or the
        card's key cannot encipher. CardError passes through."""
        raise NotImplementedError

    def drop_pin(self, handle: "PinHandle") -> None:
        """Wipe a PIN. Harmless twice."""
        raise NotImplementedError

    async def seal(self, slot: str, plain: bytes) -> bytes:
        """Authenticated encryption (AES-256, encrypt-then-MAC) with a fresh
        nonce under ``batch``, ``links`` or ``pairs``. Made from entropy if the slot is empty."""
        raise NotImplementedError

    async def unseal(self, slot: str, sealed: bytes) -> bytes:
        """Inverse of seal. KeyMissing after the slot's key died, VaultError if altered."""
        raise NotImplementedError

    async def destroy(self, slot: str) -> None:
        """Erase a slot (``batch`` at batch close, ``links`` when links are forgotten)."""
        raise NotImplementedError

    async def link_key(self) -> LinkKey:
        """This terminal's key on the PC link, in slot ``pc``: made from entropy, durably,
        at the first use, the same ever after until the vault is erased."""
        raise NotImplementedError

    async def token(self, data: bytes) -> bytes:
        """16 bytes, HMAC-SHA-256 under ``token`` cut short: same data, same token."""
        raise NotImplementedError

    async def journal_mac(self, data: bytes) -> bytes:
        """16 bytes, HMAC-SHA-256 under ``journal`` cut short."""
        raise NotImplementedError

    async def note_journal(self, epoch: int, sequence: int) -> None:
        """Remember durably the journal's last sequence; never goes back
        within an epoch, nor to an earlier one (VaultError)."""
        raise NotImplementedError

    async def journal_position(self) -> "tuple[int, int]":
        """(epoch, last noted sequence); (0, 0) for a new vault."""
        raise NotImplementedError

    async def tls_passphrase(self) -> str:
        """Passphrase of the TLS client key. KeyMissing."""
        raise NotImplementedError

    async def install_tls_passphrase(self, sealed: bytes) -> None:
        """Unwrap the client key's passphrase from a provisioning bundle
        (AES-256 under a key derived from ``transport``). KeyRefused."""
        raise NotImplementedError

    async def check_password(self, stored: bytes, typed: bytes) -> bool:
        """PBKDF2-HMAC-SHA-256 comparison; ``stored`` = 4-byte iterations |
        16-byte salt | 32-byte hash. VaultError for a malformed ``stored``."""
        raise NotImplementedError

    async def erase(self) -> None:
        """Tamper: destroy every key at once and durably. From here every call,
        and ``open`` after every boot, raises VaultTampered until a new
        transport key is installed."""
        raise NotImplementedError
