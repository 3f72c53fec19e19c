"""CPace, a key from a short code (suite CPACE-X25519-SHA512).

From draft-irtf-cfrg-cpace-21 (its editors' text of 23 April 2026), whose
sections are named below: the generator (8.1, 8.2, A.5), both shares, the
intermediate session key in the initiator-responder setting (7.2) and the
confirmation tags, an HMAC-SHA-512 under ``mac_key`` (10.4). The vectors of an
earlier state of the draft hold too.

Ours: A is the terminal, B the PC; B's tag comes first and A gives none before
it verified, so that one run is one guess; an end refuses its own share come
back; the session key is given out only after the peer's tag verified; what goes
in as code, channel and data (docs/link.md, Pairing).

Python's integers are not constant in time, the generator's included
(docs/threat-model.md): a code is used once and dies within minutes.
"""

from firmware.crypto import CryptoError, wipe, x25519
from firmware.crypto.hashes import same, sha512
from firmware.crypto.hkdf import hmac_sha512

#: The group's name in every hash (8.2).
DSI = b"CPace255"
#: Bytes of a share, of a scalar and of a tag.
SHARE = 32
TAG = 64

_BLOCK = 128  # SHA-512's input block
_P = (1 << 255) - 19
_A = 486662


class CPaceError(CryptoError):
    """The run is over, its secrets are wiped."""


class ShareError(CPaceError):
    """The peer's share is no share: length, low order, or our own come back."""


class WrongCodeError(CPaceError):
    """The peer's tag does not verify: another code, another channel, or altered on the way."""


def lv_cat(*parts: "bytes | bytearray") -> bytes:
    """Each part after its length, 7 bits a byte, lowest first (6.3, A.1)."""
    out: "list[bytes]" = []
    for part in parts:
        size = len(part)
        head = []
        while size > 127:
            head.append(size & 127 | 128)
            size >>= 7
        head.append(size)
        out.append(bytes(head))
        out.append(bytes(part))
    return b"".join(out)


def generator_string(code: "bytes | bytearray", channel: bytes, session: bytes) -> bytes:
    """What is hashed to the generator; code and padding fill SHA-512's first block (8.1)."""
    padding = max(0, _BLOCK - 1 - len(lv_cat(code)) - len(lv_cat(DSI)))
    return lv_cat(DSI, code, bytes(padding), channel, session)


def generator(code: "bytes | bytearray", channel: bytes, session: bytes) -> bytes:
    """The generator's u coordinate, 32 bytes (8.2)."""
    hashed = sha512(generator_string(code, channel, session))[:32]
    return elligator2(int.from_bytes(hashed, "little") & (1 << 255) - 1).to_bytes(32, "little")


def elligator2(r: int) -> int:
    """The u coordinate that a field element maps to, Z = 2 (A.5; RFC 9380, 6.7.1)."""
    v = -_A * pow(1 + 2 * r * r, _P - 2, _P) % _P
    square = pow(v * (v * v + _A * v + 1) % _P, (_P - 1) // 2, _P)
    # 1 for a square, else -1; 0 does not come, since A * A - 4 is no square.
    return v if square == 1 else (-v - _A) % _P


def session_key(
    secret: bytes, share_a: bytes, data_a: bytes, share_b: bytes, data_b: bytes, session: bytes
) -> bytes:
    """The intermediate session key, 64 bytes (7.2, transcript_ir)."""
    return sha512(
        lv_cat(DSI + b"_ISK", session, secret) + lv_cat(share_a, data_a) + lv_cat(share_b, data_b)
    )


class CPace:
    """One end of one run.

    ``first`` is True on A. ``code`` is the password, ``channel`` what both ends
    know of the channel between them, ``scalar`` 32 fresh random bytes; ``mine``
    and ``theirs`` the data that each end adds, ``session`` an id of the run,
    all empty unless both ends agree. ``share`` goes to the peer.
    """

    def __init__(
        self,
        first: bool,
        code: "bytes | bytearray",
        channel: bytes,
        scalar: "bytes | bytearray",
        mine: bytes = b"",
        theirs: bytes = b"",
        session: bytes = b"",
    ) -> None:
        self.over = False
        self.share = x25519.multiply(scalar, generator(code, channel, session))
        self._first = first
        self._scalar = bytearray(scalar)
        self._mine = mine
        self._theirs = theirs
        self._session = session
        self._peer = b""
        self._verified = False
        self._key = bytearray()
        self._mac_key = bytearray()

    def receive(self, share: "bytes | bytearray") -> None:
        """Take the peer's share. ShareError when it is none; only one is taken."""
        self._check(not self._peer)
        peer = bytes(share)
        if len(peer) != SHARE or peer == self.share:
            self.wipe()
            raise ShareError("no share, or this end's own")
        try:
            secret = x25519.shared(self._scalar, peer)
        except CryptoError as error:
            self.wipe()
            raise ShareError(str(error)) from None
        if self._first:
            key = session_key(secret, self.share, self._mine, peer, self._theirs, self._session)
        else:
            key = session_key(secret, peer, self._theirs, self.share, self._mine, self._session)
        self._peer = peer
        self._key = bytearray(key)
        self._mac_key = bytearray(sha512(b"CPaceMac" + self._session + key))
        wipe(self._scalar)

    def tag(self) -> bytes:
        """This end's confirmation, 64 bytes. A has none before B's verified."""
        self._check(bool(self._peer) and (self._verified or not self._first))
        return hmac_sha512(self._mac_key, lv_cat(self.share, self._mine))

    def verify(self, tag: "bytes | bytearray") -> None:
        """Check the peer's confirmation, once. WrongCodeError, and the run is over."""
        self._check(bool(self._peer) and not self._verified)
        if not same(hmac_sha512(self._mac_key, lv_cat(self._peer, self._theirs)), tag):
            self.wipe()
            raise WrongCodeError("the confirmation does not verify")
        self._verified = True

    def key(self) -> bytes:
        """The intermediate session key, 64 bytes, once the peer's tag verified."""
        self._check(self._verified)
        return bytes(self._key)

    def wipe(self) -> None:
        """Overwrite the secrets, as far as they are in reach; the run is over."""
        self.over = True
        for secret in (self._scalar, self._key, self._mac_key):
            wipe(secret)

    def _check(self, may: bool) -> None:
        if self.over or not may:
            self.wipe()
            raise CPaceError("not now")
