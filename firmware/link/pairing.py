"""The first meeting of a terminal and a PC: six digits shown here, typed there
(docs/link.md, Pairing).

Both ends' states are the two tables below and nothing else: ``Pairing.step`` looks an input
up, and whatever is not in its state's row ends the attempt for good. No I/O: the caller
carries the messages as ITEM and END of the stream that ``pair_ask`` opened, shows and asks,
and keeps the entry on stable storage where a state says ``keeping``.

Inputs from the peer are maps with integer keys; ``agree``, ``code`` and ``kept`` come from
this end's own people and storage.
"""

from firmware.crypto import CryptoError, wipe
from firmware.crypto.cpace import SHARE, TAG, CPace, WrongCodeError
from firmware.crypto.hashes import same, sha256
from firmware.errors import TillError
from firmware.link.streams import END, ITEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROLES = ("sync", "register", "service", "update", "key-load")
DIGITS = 6
SECRET, CHALLENGE = 32, 16

_PAIR, _CODE, _COMMITMENT = b"OpenTill pair 1\0", b"OpenTill code 1\0", b"OpenTill commitment 1\0"

#: state: {input: (what is done, the state behind it)}
TERMINAL_STATES = {
    "idle": {"ask": ("_asked", "asked")},
    "asked": {"agree": ("_commit", "committed")},
    "committed": {"challenge": ("_challenged", "shown")},
    "shown": {"proof": ("_proved", "proved")},
    "proved": {"done": ("_done", "keeping")},
    "keeping": {"kept": ("_kept_here", "paired")},
}
PC_STATES = {
    "idle": {"begin": ("_ask", "asking")},
    "asking": {"commitment": ("_committed", "challenged")},
    "challenged": {"share": ("_shared", "waiting")},
    "waiting": {"code": ("_prove", "proving")},
    "proving": {"reveal": ("_revealed", "keeping")},
    "keeping": {"kept": ("_kept_there", "confirming")},
    "confirming": {"paired": ("_paired", "paired")},
}


class PairingFailed(TillError):
    """The attempt is over, nothing was stored, the secrets are wiped."""

    text_key = "error.pc_pipe"


class WrongCode(PairingFailed):
    """Another code was typed than shown, or somebody is in between. The code is dead."""


class SomebodyBetween(PairingFailed):
    """The terminal's proof does not fit what it promised or this channel."""


def code_of(channel: bytes, secret: "bytes | bytearray", challenge: bytes) -> str:
    """The six digits of a handshake hash, the terminal's secret and the PC's challenge."""
    number = int.from_bytes(sha256(_CODE + channel + bytes(secret) + challenge), "big")
    text = str(number % 1000000)
    return "0" * (DIGITS - len(text)) + text


def commitment_to(secret: "bytes | bytearray") -> bytes:
    """What the terminal says before it knows the challenge."""
    return sha256(_COMMITMENT + bytes(secret))


def roles_of(value: "Any") -> "list[str]":
    """The roles in a message, in the order of ROLES. PairingFailed: none, unknown, or twice."""
    if not isinstance(value, list) or not value or len(value) > len(ROLES):
        raise PairingFailed("no list of roles")
    for role in value:
        if role not in ROLES or value.count(role) != 1:
            raise PairingFailed("a role that there is not, or twice")
    return [role for role in ROLES if role in value]


class Pairing:
    """What both ends do alike. ``state`` is one of the table's, ``failed`` at the end of every
    attempt that did not pass. ``channel``: the session's handshake hash."""

    _states: "dict[str, dict[str, tuple[str, str]]]" = {}

    def __init__(self, channel: bytes) -> None:
        if len(channel) != 32:
            raise PairingFailed("no handshake hash")
        self.state = "idle"
        self.roles: "list[str]" = []
        self._channel = channel
        self._secret = bytearray()
        self._challenge = b""
        self._cpace: "CPace | None" = None

    def step(self, name: str, value: "Any" = None) -> "list[tuple[int, dict[int, Any]]]":
        """Take input ``name``; gives the messages (kind, map) to send. PairingFailed ends it."""
        row = self._states.get(self.state, {})
        if name not in row:
            problem = name + " in state " + self.state
            self.abandon()
            raise PairingFailed(problem)
        action, following = row[name]
        try:
            messages: "list[tuple[int, dict[int, Any]]]" = getattr(self, action)(value)
        except PairingFailed:
            self.abandon()
            raise
        except WrongCodeError as error:
            self.abandon()
            raise WrongCode(str(error)) from None
        except CryptoError as error:
            self.abandon()
            raise PairingFailed(str(error)) from None
        self.state = following
        return messages

    def abandon(self) -> None:
        """End the attempt; the secrets are wiped."""
        self.state = "failed"
        self._clean()

    def _clean(self) -> None:
        wipe(self._secret)
        if self._cpace is not None:
            self._cpace.wipe()

    def _run(self, first: bool, code: str, scalar: bytes) -> CPace:
        self._cpace = CPace(first, code.encode(), _PAIR + self._channel, scalar)
        return self._cpace

    def _running(self) -> CPace:
        if self._cpace is None:
            raise PairingFailed("nothing runs")
        return self._cpace


def _field(value: "Any", keys: int, key: int, size: int) -> bytes:
    """A byte string of that size in a map of that many keys. PairingFailed."""
    if not isinstance(value, dict) or len(value) != keys:
        raise PairingFailed("a message with other keys")
    field = value.get(key)
    if not isinstance(field, bytes) or len(field) != size:
        raise PairingFailed("a message whose " + str(key) + " is none")
    return field


def _nothing(value: "Any") -> None:
    if value != {}:
        raise PairingFailed("a message that says more than it may")


class TerminalPairing(Pairing):
    """The terminal's end. ``secret`` and ``scalar``: 32 fresh random bytes each. ``code`` is
    to be shown in state ``shown``; in ``keeping`` the entry is to be made durable."""

    _states = TERMINAL_STATES

    def __init__(self, channel: bytes, secret: bytes, scalar: bytes) -> None:
        Pairing.__init__(self, channel)
        if len(secret) != SECRET:
            raise PairingFailed("no secret")
        self._secret = bytearray(secret)
        self._scalar = scalar
        self.code = ""

    def _asked(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        if not isinstance(value, dict) or len(value) != 1:
            raise PairingFailed("a question with other keys")
        self.roles = roles_of(value.get(1))
        return []

    def _commit(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        return [(ITEM, {1: commitment_to(self._secret)})]

    def _challenged(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        self._challenge = _field(value, 1, 1, CHALLENGE)
        self.code = code_of(self._channel, self._secret, self._challenge)
        return [(ITEM, {1: self._run(True, self.code, self._scalar).share})]

    def _proved(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        cpace = self._running()
        tag = _field(value, 2, 2, TAG)
        cpace.receive(_field(value, 2, 1, SHARE))
        cpace.verify(tag)
        return [(ITEM, {1: cpace.tag(), 2: bytes(self._secret)})]

    def _done(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        _nothing(value)
        return []

    def _kept_here(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        self._clean()
        return [(END, {1: self.roles})]

    def abandon(self) -> None:
        self.code = ""
        Pairing.abandon(self)


class PcPairing(Pairing):
    """The PC's end. ``challenge``: 16, ``scalar``: 32 fresh random bytes. In ``waiting`` the code
    is to be typed; in ``keeping`` the entry is to be made durable, unconfirmed; in ``paired``
    it is confirmed."""

    _states = PC_STATES

    def __init__(self, channel: bytes, challenge: bytes, scalar: bytes, roles: "list[str]") -> None:
        Pairing.__init__(self, channel)
        if len(challenge) != CHALLENGE:
            raise PairingFailed("no challenge")
        self._challenge = challenge
        self._scalar = scalar
        self.roles = roles_of(roles)
        self._promised = b""
        self._theirs = b""
        self._typed = ""

    def _ask(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        return []  # the roles went with the request that opened the stream

    def _committed(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        self._promised = _field(value, 1, 1, 32)
        return [(ITEM, {1: self._challenge})]

    def _shared(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        self._theirs = _field(value, 1, 1, SHARE)
        return []

    def _prove(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        if not isinstance(value, str) or len(value) != DIGITS:
            raise PairingFailed("a code has six digits")
        if [digit for digit in value if not "0" <= digit <= "9"]:
            raise PairingFailed("a code has six digits")
        self._typed = value
        cpace = self._run(False, value, self._scalar)
        cpace.receive(self._theirs)
        return [(ITEM, {1: cpace.share, 2: cpace.tag()})]

    def _revealed(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        tag = _field(value, 2, 1, TAG)
        secret = _field(value, 2, 2, SECRET)
        try:
            self._running().verify(tag)
        except WrongCodeError:
            raise SomebodyBetween("the terminal's tag does not verify") from None
        if not same(commitment_to(secret), self._promised):
            raise SomebodyBetween("the terminal had promised another secret")
        if code_of(self._channel, secret, self._challenge) != self._typed:
            raise SomebodyBetween("the code is not this channel's")
        return []

    def _kept_there(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        self._clean()
        return [(END, {})]

    def _paired(self, value: "Any") -> "list[tuple[int, dict[int, Any]]]":
        if not isinstance(value, dict) or len(value) != 1 or roles_of(value.get(1)) != self.roles:
            raise PairingFailed("the terminal gave other roles than asked for")
        return []
