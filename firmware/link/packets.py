"""Packets of the link's delivery: their bytes and nothing else (docs/link.md, Packets).

A packet is a tuple, its kind first and then the fields as the table there has them.
Numbers are big endian. What is not exactly as the table says is BadPacket.
"""

import struct

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPEN, ACCEPT, RESUME, RESUMED, REFUSE = 0x01, 0x02, 0x03, 0x04, 0x05
DATA, ACK, PING, PONG, CLOSE = 0x10, 0x11, 0x12, 0x13, 0x14

#: The version of the link that is spoken here.
VERSION = 1
#: Bytes of DATA before its record.
HEAD = 7
#: Least size of a record that an end may announce.
LEAST_SIZE = 256
#: Bytes of one end's half of a session's id.
HALF = 8

#: Reasons of REFUSE.
BAD_VERSION, NO_SESSION, BUSY = 1, 2, 3
#: Reasons of CLOSE.
DONE, BROKEN, UNVERIFIED, HANDSHAKE, NO_ANSWER, REVOKED, STOPPING, RAN_OUT = 0, 1, 2, 3, 4, 5, 6, 7

_OPEN = ">B8sHI"
_ACCEPT = ">B8s8sHI"
_RESUME = ">16sII"
_REFUSE = ">BH8s"
_DATA = ">2sI"
_ACK = ">2sIII"
_PING = ">2sH"
_PONG = ">2sHIII"
_CLOSE = ">2sB"


class BadPacket(TillError):
    """Bytes that are no packet of this version."""

    text_key = "error.pc_pipe"


def _made(kind: int, layout: str, *fields: "Any") -> bytes:
    return bytes((kind,)) + struct.pack(layout, *fields)


def open_packet(half: bytes, size: int, credit: int) -> bytes:
    """OPEN: the PC's half of the id, the longest record and the bytes of records it takes."""
    return _made(OPEN, _OPEN, VERSION, half, size, credit)


def accept(half: bytes, own_half: bytes, size: int, credit: int) -> bytes:
    """ACCEPT: the PC's half, the terminal's, and what the terminal takes."""
    return _made(ACCEPT, _ACCEPT, VERSION, half, own_half, size, credit)


def resume(name: bytes, following: int, credit: int) -> bytes:
    """RESUME: the session's id, the first DATA not received, the room from there on."""
    return _made(RESUME, _RESUME, name, following, credit)


def resumed(name: bytes, following: int, credit: int) -> bytes:
    """RESUMED: as RESUME."""
    return _made(RESUMED, _RESUME, name, following, credit)


def refuse(reason: int, detail: int, asked: bytes) -> bytes:
    """REFUSE: a reason, its detail, the PC's half that was asked for."""
    return _made(REFUSE, _REFUSE, reason, detail, asked)


def data(tag: bytes, number: int, record: bytes) -> bytes:
    """DATA."""
    return _made(DATA, _DATA, tag, number) + record


def ack(tag: bytes, following: int, held: int, credit: int) -> bytes:
    """ACK: the first DATA not received, a bit for each that is here behind it, the room."""
    return _made(ACK, _ACK, tag, following, held, credit)


def ping(tag: bytes, mark: int) -> bytes:
    """PING."""
    return _made(PING, _PING, tag, mark)


def pong(tag: bytes, mark: int, following: int, held: int, credit: int) -> bytes:
    """PONG: the mark of the PING that it answers, the rest as in ACK."""
    return _made(PONG, _PONG, tag, mark, following, held, credit)


def close(tag: bytes, reason: int) -> bytes:
    """CLOSE."""
    return _made(CLOSE, _CLOSE, tag, reason)


def _fields(packet: bytes, layout: str) -> "tuple[Any, ...]":
    if len(packet) != 1 + struct.calcsize(layout):
        raise BadPacket("a packet of kind " + str(packet[0]) + " has another length")
    return struct.unpack_from(layout, packet, 1)


def decode(packet: bytes) -> "tuple[Any, ...]":
    """The kind and the fields of a packet of 1 byte or more. BadPacket.

    An OPEN of another version gives ``(OPEN, version, half)``: no more of it is known.
    """
    kind = packet[0]
    if kind == DATA:
        if len(packet) <= HEAD:
            raise BadPacket("DATA without a record")
        tag, number = struct.unpack_from(_DATA, packet, 1)
        return (DATA, tag, number, packet[HEAD:])
    if kind == ACK:
        return (ACK,) + _fields(packet, _ACK)
    if kind == PING:
        return (PING,) + _fields(packet, _PING)
    if kind == PONG:
        return (PONG,) + _fields(packet, _PONG)
    if kind == CLOSE:
        return (CLOSE,) + _fields(packet, _CLOSE)
    if kind == OPEN:
        if len(packet) >= 2 + HALF and packet[1] != VERSION:
            return (OPEN, packet[1], packet[2 : 2 + HALF])
        return _sized((OPEN,) + _fields(packet, _OPEN))
    if kind == ACCEPT:
        return _sized((ACCEPT,) + _fields(packet, _ACCEPT))
    if kind in (RESUME, RESUMED):
        return (kind,) + _fields(packet, _RESUME)
    if kind == REFUSE:
        return (REFUSE,) + _fields(packet, _REFUSE)
    raise BadPacket("a packet of kind " + str(kind))


def _sized(fields: "tuple[Any, ...]") -> "tuple[Any, ...]":
    if fields[1] != VERSION:
        raise BadPacket("an answer of version " + str(fields[1]))
    if fields[-2] < LEAST_SIZE:
        raise BadPacket("a size of " + str(fields[-2]))
    return fields
