"""What may stand at the far end of the line instead of an honest bank."""

import asyncio
import random
from typing import Any

from tests.support.handheld import BankEnd, Handheld

#: What a hostile end sends goes out in pieces this far apart, seconds: the
#: virtual clock must move while it talks.
PACE_S = 0.01


class Silent:
    """Takes everything, says nothing. Base of the others."""

    def __init__(self, t: Handheld) -> None:
        self.closed = False
        self.heard = 0
        self._at = 0.0

    def feed(self, data: bytes) -> None:
        self.heard += len(data)

    def take(self) -> bytes:
        now = asyncio.get_running_loop().time()
        if not self.heard or now - self._at < PACE_S:
            return b""
        self._at = now
        return self.says()

    def says(self) -> bytes:
        """The next piece."""
        return b""

    def close(self) -> None:
        self.closed = True


class Noise(Silent):
    """Random bytes for ever."""

    def __init__(self, t: Handheld) -> None:
        super().__init__(t)
        self._draw = random.Random(1)

    def says(self) -> bytes:
        return self._draw.randbytes(3000)


class EndlessHello(Silent):
    """TLS records of HelloRequests, which a client must skip, for ever."""

    def says(self) -> bytes:
        return b"\x16\x03\x03\x3f\xff" + bytes(0x3FFF)


class WebServer(Silent):
    """Another service on the bank's port."""

    def says(self) -> bytes:
        return b"HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\n\r\n" * 20


class FatalAlert(Silent):
    """Refuses the handshake."""

    def says(self) -> bytes:
        self.closed = True
        return b"\x15\x03\x03\x00\x02\x02\x28"


class _Behind(Silent):
    """Stands between the terminal and the real bank."""

    def __init__(self, t: Handheld) -> None:
        self.session = t.acquirer.connect()
        self._end = BankEnd(self.session)
        super().__init__(t)

    @property
    def closed(self) -> bool:
        return self._end.closed

    @closed.setter
    def closed(self, value: bool) -> None:
        """The session says it."""

    def feed(self, data: bytes) -> None:
        self._end.feed(data)

    def take(self) -> bytes:
        return self._end.take()

    def close(self) -> None:
        self._end.close()


class Drip(_Behind):
    """One byte each second."""

    def __init__(self, t: Handheld) -> None:
        super().__init__(t)
        self._held = b""

    @property
    def closed(self) -> bool:
        return self._end.closed and not self._held

    @closed.setter
    def closed(self, value: bool) -> None:
        """The session says it."""

    def take(self) -> bytes:
        self._held += self._end.take()
        now = asyncio.get_running_loop().time()
        if not self._held or now - self._at < 1:
            return b""
        self._at = now
        piece, self._held = self._held[:1], self._held[1:]
        return piece


class BadRecord(_Behind):
    """A good handshake, then a record that does not decrypt."""

    def __init__(self, t: Handheld) -> None:
        super().__init__(t)
        self._out = 0

    def take(self) -> bytes:
        data = self._end.take()
        self._out += len(data)
        if data and self._out > 3000:
            return b"\x17\x03\x03\x00\x20" + b"\xaa" * 32
        return data


class Talker(_Behind):
    """Good TLS, and in it ``junk`` without end instead of an answer."""

    junk = b""

    def take(self) -> bytes:
        now = asyncio.get_running_loop().time()
        inside: Any = self.session
        if inside._peer is not None and not self.session.closed and now - self._at >= PACE_S:
            self._at = now
            inside._tls.write(self.junk)
        return self._end.take()


class Zeros(Talker):
    junk = bytes(4000)


class TooLong(Talker):
    junk = b"\xff" * 4000


class Foreign(Talker):
    """Answers to somebody else's requests."""

    junk = (
        bytes.fromhex(
            "0019" + "6000000000" + "600000000000" + "0810" + "0020000000000000" + "999999"
        )
        + b""
    )


class NeverWhole(Talker):
    """Announces a frame and trickles it."""

    junk = b"\x10\x00"


ENDS: dict[str, Any] = {
    made.__name__: made
    for made in (
        Silent, Noise, EndlessHello, WebServer, FatalAlert, Drip, BadRecord, Zeros, TooLong,
        Foreign, NeverWhole,
    )
}  # fmt: skip
