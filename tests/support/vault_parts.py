"""What tests of the vault share: a seeded source, a card that listens, blocks."""

from firmware.crypto import kcv, key_block, wrap
from firmware.crypto.backend import des
from firmware.crypto.hashes import sha256
from firmware.hal.card_reader import CardChannel
from firmware.hal.entropy import Entropy

TRANSPORT = bytes(range(32))
TMK = bytes.fromhex("CA5D92598DCA48CE8A4C76361A9269E9")


class SeededEntropy(Entropy):
    """A hash chain. Never genuine."""

    def __init__(self, seed: bytes = b"seed") -> None:
        self._last = seed

    def random(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            self._last = sha256(self._last)
            out += self._last
        return out[:count]

    async def self_test(self) -> None:
        return None


class ListeningCard(CardChannel):
    """Answers from a list and keeps the commands."""

    def __init__(self, answers: "list[tuple[bytes, int]]") -> None:
        self.answers = answers
        self.commands: "list[bytes]" = []

    async def transmit(self, command: bytes) -> "tuple[bytes, int, int]":
        assert isinstance(command, bytes)
        self.commands.append(command)
        data, sw = self.answers.pop(0)
        return data, sw, 100


def tmk_block(
    tmk: bytes = TMK,
    transport: bytes = TRANSPORT,
    usage: str = "K0",
    mode: str = "D",
    algorithm: str = "T",
) -> str:
    """A version D block as a bank would send it."""
    header = key_block.Header(usage, algorithm, mode)
    return key_block.wrap(transport, header, tmk, SeededEntropy(b"pad").random)


def sealed_passphrase(text: bytes = b"correct horse", transport: bytes = TRANSPORT) -> bytes:
    """As a bundle carries it."""
    return wrap.seal(transport, wrap.TLS_PASSPHRASE, text, bytes(16))


def field62(parts: "list[bytes]", tmk: bytes = TMK) -> bytes:
    """Working keys enciphered under ``tmk``; an 8-byte key among 16-byte ones
    gets the zero tail of rules of money, 14."""
    size = max([len(part) for part in parts])
    out = b""
    for part in parts:
        kind = "des" if len(part) == 8 else "tdes2"
        sent = des(tmk).encrypt(part)
        out += sent + bytes(size - len(part)) + kcv.zeros(kind, part)
    return out


PIN_KEY = bytes.fromhex("807A23AD32B36D457AE91FDF927570EA")
MAC_KEY = bytes.fromhex("5BB5C72CD00B7338")
