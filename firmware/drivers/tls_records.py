"""Watches TLS record headers go by, to see when a client's handshake is over.

mbedTLS through MicroPython's ``tls`` does not say so. Only types and lengths
of records are read, which are never enciphered (RFC 8446, 5.1), and the
random of the first ServerHello. A wrong guess costs nothing but clarity: what
is written before the end waits for it, and is not sent if it fails.
"""

_CHANGE_CIPHER_SPEC = 20
_HANDSHAKE = 22
_APPLICATION_DATA = 23

#: First bytes of the random that makes a ServerHello a HelloRetryRequest,
#: which exists in TLS 1.3 only (RFC 8446, 4.1.3).
_RETRY = b"\xcf\x21\xad\x74\xe5\x9a\x61\x11"
#: Record header, handshake header, version: then comes the random.
_RANDOM_AT = 5 + 4 + 2


class _Direction:
    """One direction's records: which types have ended."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._kind = 0
        self._changed = False
        self.enciphered_handshake = False
        self.application_data = False

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._left == 0:
                take = 5 - len(self._head)
                self._head += data[at : at + take]
                at += take
                if len(self._head) < 5:
                    return
                self._kind = self._head[0]
                self._left = int.from_bytes(self._head[3:5], "big")
                self._head = b""
            else:
                take = min(self._left, len(data) - at)
                self._left -= take
                at += take
            if self._left == 0:
                self._ended()

    def _ended(self) -> None:
        if self._kind == _CHANGE_CIPHER_SPEC:
            self._changed = True
        elif self._kind == _HANDSHAKE and self._changed:
            self.enciphered_handshake = True
        elif self._kind == _APPLICATION_DATA:
            self.application_data = True


class HandshakeWatch:
    """Fed with all bytes of both directions while no data of ours was written."""

    def __init__(self) -> None:
        self._out = _Direction()
        self._in = _Direction()
        self._opening = b""

    def sent(self, data: bytes) -> None:
        """Bytes to the server."""
        self._out.feed(data)

    def received(self, data: bytes) -> None:
        """Bytes from the server."""
        if len(self._opening) < _RANDOM_AT + len(_RETRY):
            self._opening += data[: _RANDOM_AT + len(_RETRY)]
        self._in.feed(data)

    @property
    def modern(self) -> bool:
        """TLS 1.3: its handshake is enciphered as application data."""
        random = self._opening[_RANDOM_AT : _RANDOM_AT + len(_RETRY)]
        return self._in.application_data or self._out.application_data or random == _RETRY

    @property
    def over(self) -> bool:
        """Whether the client has verified the server and sent all it has to.

        In TLS 1.3 a client's first enciphered record follows the server's
        verified Finished. In TLS 1.2 both sides have sent Finished, the
        handshake record after ChangeCipherSpec (RFC 5246, 7.3).
        """
        if self.modern:
            return self._out.application_data
        return self._out.enciphered_handshake and self._in.enciphered_handshake
