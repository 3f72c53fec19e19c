"""One end of a PPP line: HDLC-like framing (RFC 1662), LCP (RFC 1661), PAP (RFC 1334) and
IPCP (RFC 1332, name servers by RFC 1877).

The network's end of a call at the virtual modem; the chip's end in the proxy of
``network.PPP``, which stands for lwIP (so this module runs under MicroPython too).
Neither end asks for compression; what the other asks for beyond this is rejected.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LCP, PAP, IPCP, IP = 0xC021, 0xC023, 0x8021, 0x0021
REQUEST, ACK, NAK, REJECT, END, ENDED = 1, 2, 3, 4, 5, 6
CODE_REJECT, PROTOCOL_REJECT, ECHO, ECHO_REPLY = 7, 8, 9, 10
#: LCP options that cost nothing to agree to: receive unit, control characters, magic number.
_HARMLESS = (1, 2, 5)
_AUTHENTICATION, _ADDRESS, _DNS = 3, 3, 129
NOBODY = b"\x00\x00\x00\x00"
#: A request is repeated so often, so many ms apart (RFC 1661, 4.6).
TRIES, AGAIN_MS = 10, 3000
#: Most bytes of a frame; longer ones are dropped.
LONGEST = 1600
#: Why a line ended.
NO_ANSWER, REFUSED, HUNG_UP = "no answer", "authentication refused", "hung up"


def checksum(data: bytes) -> int:
    """FCS of 16 bits (RFC 1662, C.2)."""
    fcs = 0xFFFF
    for byte in data:
        fcs ^= byte
        for _ in range(8):
            fcs = fcs >> 1 ^ 0x8408 if fcs & 1 else fcs >> 1
    return fcs ^ 0xFFFF


def frame(protocol: int, packet: bytes) -> bytes:
    """A whole frame, flags and escapes included."""
    body = b"\xff\x03" + protocol.to_bytes(2, "big") + packet
    body += checksum(body).to_bytes(2, "little")
    out = bytearray(b"\x7e")
    for byte in body:
        if byte < 0x20 or byte in (0x7D, 0x7E):
            out.append(0x7D)
            byte ^= 0x20
        out.append(byte)
    out.append(0x7E)
    return bytes(out)


class Deframer:
    """Bytes in, the bodies of frames out, their checksums included."""

    def __init__(self) -> None:
        self._frame = bytearray()
        self._escaped = False

    def feed(self, data: bytes) -> "list[bytes]":
        """The bodies that ``data`` ends."""
        bodies = []
        for byte in data:
            if byte == 0x7E:
                if self._frame:
                    bodies.append(bytes(self._frame))
                self._frame, self._escaped = bytearray(), False
            elif byte == 0x7D:
                self._escaped = True
            elif len(self._frame) < LONGEST:
                self._frame.append(byte ^ 0x20 if self._escaped else byte)
                self._escaped = False
        return bodies


def intact(body: bytes) -> bool:
    """Whether a body of enough bytes has its checksum."""
    return len(body) >= 6 and checksum(body[:-2]).to_bytes(2, "little") == body[-2:]


def options(data: bytes) -> "list[tuple[int, bytes]]":
    """Type and value of each option; what is cut short ends the list."""
    found = []
    at = 0
    while at + 2 <= len(data) and 2 <= data[at + 1] <= len(data) - at:
        found.append((data[at], data[at + 2 : at + data[at + 1]]))
        at += data[at + 1]
    return found


def packed(wanted: "list[tuple[int, bytes]]") -> bytes:
    """Options as they stand in a packet."""
    return b"".join([bytes((kind, 2 + len(value))) + value for kind, value in wanted])


class _Layer:
    """Agreement in both directions: what we ask for, and what the other does."""

    def __init__(self, protocol: int, wishes: "list[tuple[int, bytes]]") -> None:
        self.protocol = protocol
        self.wishes = wishes
        self.ours = self.theirs = False  # who has been agreed with
        self.begun = False
        self.number = 0
        self.tries = 0
        self.asked_ms = 0

    @property
    def open(self) -> bool:
        return self.ours and self.theirs


class PppEnd:
    """``address``: ours, NOBODY to be given one. ``gives``: what the other gets, NOBODY to
    give none; ``dns``: its name server. ``login``: (user, key) that we ask of the other
    when we give addresses, else that we have."""

    def __init__(
        self,
        now_ms: "Callable[[], int]",
        address: bytes = NOBODY,
        gives: bytes = NOBODY,
        dns: bytes = NOBODY,
        login: "tuple[str, str] | None" = None,
    ) -> None:
        self._now_ms = now_ms
        self.address, self.dns = address, dns
        self._gives = gives
        self._login = login
        asks = login is not None and gives != NOBODY
        self._lcp = _Layer(LCP, [(_AUTHENTICATION, PAP.to_bytes(2, "big"))] if asks else [])
        wishes = [(_ADDRESS, address)]
        if gives == NOBODY:
            wishes.append((_DNS, NOBODY))
        self._ipcp = _Layer(IPCP, wishes)
        self._asked = False  # for our login, by the other
        self._proved = not asks
        self._told = False
        self._out = b""
        self._frames = Deframer()
        #: Frames whose checksum was wrong, and why the line ended; "" while it has not.
        self.damaged = 0
        self.ended = ""
        self.ip_packets = 0

    @property
    def up(self) -> bool:
        """Whether IP may pass."""
        return self._ipcp.open and not self.ended

    def begin(self) -> None:
        """The line is there: ask."""
        self._ask(self._lcp)

    def hang_up(self) -> None:
        """Tell the other that it is over."""
        if not self.ended:
            self._send(LCP, END, 1, b"")

    def take(self) -> bytes:
        """Bytes for the line."""
        self._repeat()
        data, self._out = self._out, b""
        return data

    def feed(self, data: bytes) -> None:
        """Bytes from the line."""
        for body in self._frames.feed(data):
            self._received(body)

    def _send(self, protocol: int, code: int, number: int, data: bytes) -> None:
        head = bytes((code, number)) + (4 + len(data)).to_bytes(2, "big")
        self._out += frame(protocol, head + data)

    def _ask(self, layer: _Layer) -> None:
        layer.begun = True
        layer.number = layer.number % 255 + 1
        layer.tries += 1
        layer.asked_ms = self._now_ms()
        self._send(layer.protocol, REQUEST, layer.number, packed(layer.wishes))

    def _repeat(self) -> None:
        if self.ended:
            return
        for layer in (self._lcp, self._ipcp):
            if not layer.begun or layer.ours or self._now_ms() - layer.asked_ms < AGAIN_MS:
                continue
            if layer.tries >= TRIES:
                self.ended = NO_ANSWER
                return
            self._ask(layer)

    def _received(self, body: bytes) -> None:
        if len(body) < 10 or not intact(body):
            self.damaged += 1
            return
        if self.ended or body[:2] != b"\xff\x03":
            return
        protocol = body[2] << 8 | body[3]
        packet = body[4:-2]
        code, number = packet[0], packet[1]
        size = packet[2] << 8 | packet[3]
        data = packet[4 : max(size, 4)]
        if protocol == LCP and code >= END:
            self._control(code, number, data)
        elif protocol in (LCP, IPCP):
            layer = self._lcp if protocol == LCP else self._ipcp
            if protocol == LCP or self._lcp.open:
                self._agree(layer, code, number, data)
        elif protocol == PAP and self._lcp.open:
            self._login_packet(code, number, data)
        elif protocol == IP:
            self.ip_packets += self.up
        elif self._lcp.open:
            self._send(LCP, PROTOCOL_REJECT, 1, body[2:4] + packet)
        self._go_on()

    def _control(self, code: int, number: int, data: bytes) -> None:
        if code == END:
            self._send(LCP, ENDED, number, b"")
            self.ended = self.ended or HUNG_UP
        elif code == ENDED:
            self.ended = self.ended or HUNG_UP
        elif code == ECHO and self._lcp.open:
            self._send(LCP, ECHO_REPLY, number, NOBODY + data[4:])

    def _agree(self, layer: _Layer, code: int, number: int, data: bytes) -> None:
        if code == REQUEST:
            self._judge(layer, number, data)
        elif number != layer.number:
            return  # an answer to an older request
        elif code == ACK:
            layer.ours = True
        elif code in (NAK, REJECT):
            told = options(data)
            if code == NAK:
                better = dict(told)
                layer.wishes = [(kind, better.get(kind, value)) for kind, value in layer.wishes]
            else:
                refused = [kind for kind, _ in told]
                if layer.protocol == LCP and _AUTHENTICATION in refused:
                    self.hang_up()  # who does not log in gets nothing
                    self.ended = REFUSED
                    return
                layer.wishes = [wish for wish in layer.wishes if wish[0] not in refused]
            self._ask(layer)

    def _judge(self, layer: _Layer, number: int, data: bytes) -> None:
        """Answer the other's request: unknown options first, then values to better."""
        asked = options(data)
        rejected, better = [], []
        for kind, value in asked:
            if layer.protocol == LCP:
                login = kind == _AUTHENTICATION and self._login is not None
                if login and value == PAP.to_bytes(2, "big"):
                    self._asked = True
                elif login:
                    better.append((kind, PAP.to_bytes(2, "big")))
                elif kind not in _HARMLESS:
                    rejected.append((kind, value))
                continue
            fit = {_ADDRESS: self._gives, _DNS: self.dns}.get(kind, b"")
            if self._gives == NOBODY and kind == _ADDRESS:
                fit = value  # the other's own
            if not fit or (kind == _DNS and fit == NOBODY):
                rejected.append((kind, value))
            elif fit != value:
                better.append((kind, fit))
        code, answer = (REJECT, rejected) if rejected else (NAK, better)
        layer.theirs = not answer
        self._send(layer.protocol, code if answer else ACK, number, packed(answer or asked))

    def _login_packet(self, code: int, number: int, data: bytes) -> None:
        if code == REQUEST and self._login is not None and not self._asked:
            user, key = self._login[0].encode(), self._login[1].encode()
            wanted = bytes((len(user),)) + user + bytes((len(key),)) + key
            self._proved = data == wanted
            self._send(PAP, ACK if self._proved else NAK, number, b"\x00")
            if not self._proved:
                self.hang_up()
                self.ended = REFUSED
        elif code == ACK and self._asked:
            self._proved = True
            self._asked = False
        elif code == NAK and self._asked:
            self.ended = REFUSED

    def _go_on(self) -> None:
        """The next step, once the one before is done."""
        if self.ended or not self._lcp.open:
            return
        if self._asked:
            if not self._told and self._login is not None:
                self._told = True
                user, key = self._login[0].encode(), self._login[1].encode()
                data = bytes((len(user),)) + user + bytes((len(key),)) + key
                self._send(PAP, REQUEST, 1, data)
            return
        if self._proved and not self._ipcp.begun:
            self._ask(self._ipcp)
        if self._ipcp.open and self._gives == NOBODY:
            found = dict(self._ipcp.wishes)
            self.address, self.dns = found.get(_ADDRESS, NOBODY), found.get(_DNS, NOBODY)
