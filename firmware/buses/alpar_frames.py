"""ALPAR: frames between a host and a card reader coprocessor of the TDA8029 kind.

A frame is a header (60h, or E0h from a reader that refuses), the length of the
data (2 bytes, big endian, at most 506), an opcode, the data and a check byte:
the exclusive or of all before it. The reader answers a command with the
command's opcode; it refuses with E0h and one byte, the cause. It speaks unasked
only of its card (opcode A0h, data 01h in, 00h out).

Sources: NXP names frame, commands and errors in application note AN10207 ("Smart
Card reader application with TDA8029 mask 06 and mask 07"), of which only the
beginning and drivers written from it were at hand: "alpar.h" of Genode's TDA8029
driver, the smart card part of Avionic Design's remote-control (it names AN10207;
its errors are those of CAUSES), an "alpar.h" with all commands that an
asynchronous card needs, and a list of commands in an ALPAR sketch for Arduino.
docs/boards.md says what could not be checked.
"""

from firmware.buses.wire import BusError

ACK = 0x60
NAK = 0xE0
#: Most data bytes of a frame.
MOST = 506

CARD_COMMAND = 0x00
CHECK_PRESENCE = 0x09
SEND_NUM_MASK = 0x0A
IFSD_REQUEST = 0x0C
NEGOTIATE = 0x10
POWER_OFF = 0x4D
#: By the supply in volts; one data byte: 00h ISO/IEC 7816-3, 01h EMV.
POWER_UP = {"1.8": 0x68, "3": 0x6D, "5": 0x6E}
#: Unasked: the card came (data 01h) or left (00h).
CARD_MOVED = 0xA0
#: Opcode of a refusal when a frame stopped in its middle.
TIME_OUT = 0xFF

#: Causes that say: the reader did not get the command whole, and did nothing.
UNHEARD = (0xF0, 0xFF)
CARD_ABSENT = 0xC0

#: One text: a tuple an entry costs a small board 40 bytes.
CAUSES = (
    "08 buffer too short\n0A three errors of the card in T=1\n20 wrong APDU\n"
    "21 APDU too short\n22 card mute in T=1\n24 bad NAD\n25 bad LRC of the card\n"
    "26 resynchronised\n27 chain aborted\n28 bad PCB\n29 overflow from the card\n"
    "30 the card negotiates nothing\n31 neither T=0 nor T=1\n32 T=1 not accepted\n"
    "33 PPS answered differently\n34 PPS check wrong\n35 bad parameter\n38 TB3 absent\n"
    "39 PPS not answered\n3B early answer to reset\n40 card deactivated\n"
    "55 unknown command\n80 card mute at reset\n81 card silent\n"
    "83 parity errors from the card\n84 parity errors to the card\n86 bad Fi and Di\n"
    "88 answer to reset too slow\n89 CWI not supported\n8A BWI not supported\n"
    "8B WI not supported\n8C TC3 not accepted\n8D parity error at reset\n"
    "90 three parity errors in T=1\n91 bad SW1\n92 specific mode not supported\n"
    "93 TB1 absent\n94 TB1 not 0\n95 bad IFSC\n96 wrong TDi\n97 TB2 present\n"
    "98 TC1 against CWT\n99 IFSD not accepted\n9B no T=1 card\nA0 bad procedure byte\n"
    "A1 card deactivated by the hardware\nC0 no card\nC3 check character wrong\nC4 bad TS\n"
    "C6 answer to reset not supported\nC7 VPP not supported\nE2 UART overflow\n"
    "E3 supply too low\nE4 too hot\nE5 card deactivated\nE9 framing error\n"
    "F0 check byte wrong\nF1 a command was lost\nFF command incomplete\n"
)


class Refused(BusError):
    """The reader refused a command; ``code`` is its cause."""

    def __init__(self, opcode: int, code: int) -> None:
        BusError.__init__(self, "card reader: command " + _hex(opcode) + ": " + cause(code))
        self.code = code


def cause(code: int) -> str:
    """What a refusal's code means."""
    key = _hex(code) + " "
    at = 0 if CAUSES.startswith(key) else CAUSES.find("\n" + key) + 1
    if not at and not CAUSES.startswith(key):
        return "cause " + key.strip()
    return CAUSES[at + 3 : CAUSES.find("\n", at)]


def _hex(byte: int) -> str:
    return ("0" + hex(byte)[2:])[-2:].upper()


def encode(opcode: int, data: bytes = b"", header: int = ACK) -> bytes:
    """One frame. ValueError for more than 506 data bytes."""
    if len(data) > MOST:
        raise ValueError("ALPAR frame of " + str(len(data)) + " bytes")
    frame = bytes((header, len(data) >> 8, len(data) & 0xFF, opcode)) + data
    return frame + bytes((_check(frame),))


def _check(data: "bytes | bytearray") -> int:
    check = 0
    for byte in data:
        check ^= byte
    return check


class Frame:
    """``ack``: False for a refusal."""

    def __init__(self, ack: bool, opcode: int, data: bytes) -> None:
        self.ack = ack
        self.opcode = opcode
        self.data = data


class FrameReader:
    """Finds frames in what came, whatever stands between them. Holds at most
    one frame's bytes and one ``feed`` more."""

    def __init__(self) -> None:
        self._got = b""
        #: Bytes that belonged to no frame, since ``clear``.
        self.noise = 0

    def feed(self, data: bytes) -> None:
        """Take what came; ``next`` gives what it completes."""
        self._got += data

    def clear(self) -> None:
        """Forget what came."""
        self._got = b""
        self.noise = 0

    @property
    def waiting(self) -> bool:
        """Whether a frame has begun, or seems to have."""
        return self._got != b""

    def give_up(self) -> None:
        """No more comes for the frame that seems to have begun: its first byte was noise,
        or its end was lost. ``next`` looks for frames behind that byte."""
        self._drop(1)

    def _drop(self, count: int) -> None:
        self._got = self._got[count:]
        self.noise += count

    def next(self) -> "Frame | None":
        """The next frame with a right check byte; None when more bytes must come."""
        while self._got:
            got = self._got
            start = 0
            while start < len(got) and got[start] != ACK and got[start] != NAK:
                start += 1
            if start:
                self._drop(start)
                continue
            if len(got) < 3:
                return None
            length = got[1] << 8 | got[2]
            if length > MOST:
                self._drop(1)
                continue
            end = length + 5
            if len(got) < end:
                return None
            if _check(got[:end]):
                self._drop(1)
                continue
            self._got = got[end:]
            return Frame(got[0] == ACK, got[3], got[4 : end - 1])
        return None
