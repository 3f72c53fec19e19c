"""Noise_XX_25519_ChaChaPoly_SHA256, both ends, without I/O (docs/link.md, Session).

Section numbers below are those of the Noise Protocol Framework, revision 34.
What is ours: a limit of a message's length below that of section 3, and that
points of low order are refused, which section 12.1 allows but discourages.

Any failure is a NoiseError, after which the object has wiped its keys and
refuses every call.
"""

from firmware.crypto import CryptoError, chacha_poly, hkdf, x25519
from firmware.crypto.hashes import sha256
from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.crypto.x25519 import StaticKey

#: The name hashed first (5.2); it has 32 bytes, so it is its own first hash.
NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
#: Bytes of a message or record at most (3), and of a record's tag.
LONGEST = 65535
TAG = chacha_poly.TAG

#: The tokens of the three messages (7.5), and what a message has beside its payload.
_TOKENS = (("e",), ("e", "ee", "s", "es"), ("s", "se"))
_BESIDE = (32, 32 + 32 + TAG + TAG, 32 + TAG + TAG)
_LAST_NONCE = (1 << 64) - 1


class NoiseError(CryptoError):
    """The session is over; its keys are wiped."""


class HandshakeError(NoiseError):
    """A handshake message is cut, too long or altered, or its keys do not agree."""


class RecordError(NoiseError):
    """A record is cut, too long, altered, repeated or out of order."""


class OutOfTurnError(NoiseError):
    """A call that this end may not make now, or after the session was over."""


class NoncesUsedUpError(NoiseError):
    """2**64 - 1 records went one way (5.1)."""


class _CipherState:
    """A key and the number of messages under it (5.1)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = chacha_poly.cipher(key)
        self.count = 0

    def encrypt(self, associated: bytes, plain: bytes) -> bytes:
        return self._cipher.seal(self._nonce(), plain, associated)

    def decrypt(self, associated: bytes, sealed: bytes) -> bytes:
        return self._cipher.open(self._nonce(), sealed, associated)

    def _nonce(self) -> bytes:
        count = self.count
        if count >= _LAST_NONCE:
            raise NoncesUsedUpError("the session's numbers are used up")
        self.count = count + 1
        return bytes(4) + count.to_bytes(8, "little")  # 12.3

    def wipe(self) -> None:
        self._cipher.wipe()


class Handshake:
    """One end's handshake.

    ``initiator`` writes the messages 1 and 3, the other end message 2.
    ``static`` is this end's long-lived key pair: ``public`` and ``dh(public)``,
    so that the private half may stay in a vault. ``ephemeral`` is 32 fresh
    random bytes, used for this handshake alone. ``longest`` bounds messages and
    records, both ways.

    ``peer`` is the other end's static public key: on the initiator after
    message 2, on the other end after message 3. ``hash`` is the handshake's
    hash so far, after message 3 the channel's name (11.2); neither is secret.
    """

    def __init__(
        self,
        initiator: bool,
        prologue: bytes,
        static: "StaticKey",
        ephemeral: "bytes | bytearray",
        longest: int = LONGEST,
    ) -> None:
        self.hash = sha256(NAME + prologue)
        self.peer = b""
        self.over = False
        self._initiator = initiator
        self._static = static
        self._ephemeral = x25519.KeyPair(ephemeral)
        self._longest = min(longest, LONGEST)
        self._chaining_key = NAME
        self._cipher: "_CipherState | None" = None
        self._peer_ephemeral = b""
        self._messages = 0

    def write(self, payload: "bytes | bytearray" = b"") -> bytes:
        """The next message. It carries ``payload``: readable by all in message 1, by
        whoever asks in message 2, by the peer that was authenticated in message 3."""
        self._turn(self._initiator == (self._messages % 2 == 0) and self._left())
        try:
            message = self._write(bytes(payload))
        except TillError as error:
            raise self._failed(error) from None
        self._messages += 1
        return message

    def read(self, message: "bytes | bytearray") -> bytes:
        """The payload of the peer's next message."""
        self._turn(self._initiator == (self._messages % 2 == 1) and self._left())
        try:
            payload = self._read(bytes(message))
        except TillError as error:
            raise self._failed(error) from None
        self._messages += 1
        return payload

    def split(self) -> "Transport":
        """Both directions of the session, once all three messages went (5.2); the
        handshake is over, ``peer`` and ``hash`` stay."""
        self._turn(not self._left())
        keys = hkdf.expand(hkdf.extract(self._chaining_key, b""), b"", 64)
        first, second = _CipherState(keys[:32]), _CipherState(keys[32:])
        self.wipe()
        if self._initiator:
            return Transport(first, second, self._longest)
        return Transport(second, first, self._longest)

    def wipe(self) -> None:
        """Overwrite this handshake's own secrets, as far as they are in reach; it is over."""
        self.over = True
        self._ephemeral.wipe()
        self._chaining_key = b""
        if self._cipher is not None:
            self._cipher.wipe()

    def _left(self) -> bool:
        return self._messages < len(_TOKENS)

    def _turn(self, mine: bool) -> None:
        if self.over or not mine:
            self.wipe()
            raise OutOfTurnError("not this end's turn, or over")

    def _failed(self, error: TillError) -> HandshakeError:
        self.wipe()
        return HandshakeError("message " + str(self._messages + 1) + ": " + str(error))

    def _write(self, payload: bytes) -> bytes:
        step = self._messages
        if len(payload) + _BESIDE[step] > self._longest:
            raise CryptoError("a payload of " + str(len(payload)) + " bytes is too long")
        parts: "list[bytes]" = []
        for token in _TOKENS[step]:
            if token == "e":
                parts.append(self._ephemeral.public)
                self._mix_hash(self._ephemeral.public)
            elif token == "s":
                parts.append(self._encrypt(self._static.public))
            else:
                self._mix_key(self._dh(token))
        parts.append(self._encrypt(payload))
        return b"".join(parts)

    def _read(self, message: bytes) -> bytes:
        step = self._messages
        if not _BESIDE[step] <= len(message) <= self._longest:
            raise CryptoError(str(len(message)) + " bytes")
        at = 0
        for token in _TOKENS[step]:
            if token == "e":
                self._peer_ephemeral = message[at : at + 32]
                self._mix_hash(self._peer_ephemeral)
                at += 32
            elif token == "s":
                self.peer = self._decrypt(message[at : at + 32 + TAG])
                at += 32 + TAG
            else:
                self._mix_key(self._dh(token))
        return self._decrypt(message[at:])

    def _dh(self, token: str) -> bytes:
        """A token's first letter is the initiator's key, its second the other end's (5.3)."""
        own, other = (0, 1) if self._initiator else (1, 0)
        peer = self._peer_ephemeral if token[other] == "e" else self.peer
        if token[own] == "e":
            return self._ephemeral.dh(peer)
        secret = self._static.dh(peer)
        if len(secret) != 32 or secret == bytes(32):
            raise x25519.LowOrderError("the static key gave no secret")
        return secret

    def _mix_hash(self, data: bytes) -> None:
        self.hash = sha256(self.hash + data)

    def _mix_key(self, secret: bytes) -> None:
        keys = hkdf.expand(hkdf.extract(self._chaining_key, secret), b"", 64)
        self._chaining_key = keys[:32]
        if self._cipher is not None:
            self._cipher.wipe()
        self._cipher = _CipherState(keys[32:])

    def _encrypt(self, plain: bytes) -> bytes:
        sealed = plain if self._cipher is None else self._cipher.encrypt(self.hash, plain)
        self._mix_hash(sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        plain = sealed if self._cipher is None else self._cipher.decrypt(self.hash, sealed)
        self._mix_hash(sealed)
        return plain


class Transport:
    """The records after the handshake, each way numbered from 0 without saying so (5.1)."""

    def __init__(self, sending: _CipherState, receiving: _CipherState, longest: int) -> None:
        self.over = False
        self._sending = sending
        self._receiving = receiving
        self._longest = longest

    def encrypt(self, plain: "bytes | bytearray") -> bytes:
        """The next record, ``TAG`` bytes longer than ``plain``."""
        self._alive()
        if len(plain) + TAG > self._longest:
            self.wipe()
            raise RecordError("a record of " + str(len(plain)) + " bytes is too long")
        try:
            return self._sending.encrypt(b"", bytes(plain))
        except NoncesUsedUpError:
            self.wipe()
            raise

    def decrypt(self, record: "bytes | bytearray") -> bytes:
        """What the peer's next record holds."""
        self._alive()
        if not TAG <= len(record) <= self._longest:
            self.wipe()
            raise RecordError("a record of " + str(len(record)) + " bytes")
        try:
            return self._receiving.decrypt(b"", bytes(record))
        except NoncesUsedUpError:
            self.wipe()
            raise
        except CryptoError:
            self.wipe()
            raise RecordError("the record does not verify") from None

    def wipe(self) -> None:
        """Overwrite both keys, as far as they are in reach; the session is over."""
        self.over = True
        self._sending.wipe()
        self._receiving.wipe()

    def _alive(self) -> None:
        if self.over:
            raise OutOfTurnError("the session is over")
