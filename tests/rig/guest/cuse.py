"""Character devices in Python: the kernel's CUSE, as far as a bus needs it.

Layouts are those of linux/fuse.h, protocol 7.31 and later. One thread serves
one device; programs open it like any other file under /dev.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import threading
from dataclasses import dataclass

from tests.rig.guest.waiting import until

_IN = struct.Struct("<IIQQIIII")  # len, opcode, unique, nodeid, uid, gid, pid, padding
_OUT = struct.Struct("<IiQ")  # len, error, unique
_IOCTL_IN = struct.Struct("<QIIQII")  # fh, flags, cmd, arg, in_size, out_size
_IOCTL_OUT = struct.Struct("<iIII")  # result, flags, in_iovs, out_iovs
_RW_IN = struct.Struct("<QQIIQII")  # fh, offset, size, flags, lock_owner, flags, padding

OPEN, READ, WRITE, RELEASE, FLUSH, INTERRUPT, IOCTL, POLL = 14, 15, 16, 18, 25, 36, 39, 40
CUSE_INIT = 4096
UNRESTRICTED_IOCTL = 1
RETRY = 4
MOST = 65536

#: A piece of the caller's memory: address and length.
Piece = tuple[int, int]


@dataclass
class Answer:
    """What an ioctl returns; ``out`` fills the pieces that were asked for as output."""

    out: bytes = b""
    result: int = 0


@dataclass
class Want:
    """Ask the kernel for pieces of the caller's memory and call again with them."""

    inputs: list[Piece]
    outputs: list[Piece]


class Unplugged(Exception):
    """Raised in the middle of an answer: the device goes, and nobody answers the caller."""


class Device:
    """One file. Subclasses answer; an OSError is what the caller gets."""

    def __init__(self, name: str) -> None:
        """``name`` under /dev; there when this returns."""
        self._kernel = os.open("/dev/cuse", os.O_RDWR)
        self._stop, self._stopper = os.pipe()
        self._handles = 0
        self._name = name
        self._path = f"/dev/{name}"
        self._thread = threading.Thread(target=self._serve, name=f"cuse {name}", daemon=True)
        self._start()
        self._thread.start()

    def opened(self, handle: int) -> None:
        """Somebody opened the device."""

    def ioctl(
        self, handle: int, command: int, argument: int, data: bytes, room: int
    ) -> Answer | Want:
        """``data``: the input pieces wanted before, one after another; b"" at first.
        ``room``: bytes of the output pieces wanted before; 0 at first."""
        raise OSError(errno.ENOTTY, "no such ioctl")

    def write(self, handle: int, data: bytes) -> int:
        """How many bytes were taken."""
        raise OSError(errno.EINVAL, "no write")

    def read(self, handle: int, most: int) -> bytes:
        """What a read returns."""
        raise OSError(errno.EINVAL, "no read")

    def close(self) -> None:
        """Unplug the device: the kernel removes it, programs that have it open get errors."""
        if self._stopper >= 0:
            os.close(self._stopper)
            self._stopper = -1
            self._thread.join()
            os.close(self._stop)
            until(lambda: not os.path.exists(self._path), f"the end of {self._path}")

    def _start(self) -> None:
        request = os.read(self._kernel, MOST)
        _, opcode, unique, *_ = _IN.unpack_from(request)
        major, minor = struct.unpack_from("<II", request, _IN.size)
        assert opcode == CUSE_INIT and major == 7
        reply = struct.pack("<8I40x", 7, min(minor, 36), 0, UNRESTRICTED_IOCTL, MOST - 4096,
                            MOST - 4096, 0, 0)  # fmt: skip
        self._answer(unique, reply + f"DEVNAME={self._name}".encode() + b"\0")
        until(lambda: os.path.exists(self._path), self._path)

    def _answer(self, unique: int, data: bytes = b"", error: int = 0) -> None:
        os.write(self._kernel, _OUT.pack(_OUT.size + len(data), -error, unique) + data)

    def _serve(self) -> None:
        try:
            while self._stop not in select.select([self._kernel, self._stop], [], [])[0]:
                self._take()
        except Unplugged:
            pass
        finally:
            os.close(self._kernel)

    def _take(self) -> None:
        request = os.read(self._kernel, MOST)
        _, opcode, unique, *_ = _IN.unpack_from(request)
        if opcode == INTERRUPT:
            return
        try:
            self._answer(unique, self._one(opcode, request[_IN.size :]))
        except OSError as error:
            self._answer(unique, error=error.errno or errno.EIO)

    def _one(self, opcode: int, body: bytes) -> bytes:
        if opcode == OPEN:
            self._handles += 1
            self.opened(self._handles)
            return struct.pack("<QII", self._handles, 0, 0)
        if opcode == IOCTL:
            return self._ioctl(body)
        if opcode == WRITE:
            handle, _, size, *_ = _RW_IN.unpack_from(body)
            data = body[_RW_IN.size : _RW_IN.size + size]
            return struct.pack("<II", self.write(handle, data), 0)
        if opcode == READ:
            handle, _, size, *_ = _RW_IN.unpack_from(body)
            return self.read(handle, size)
        if opcode in (RELEASE, FLUSH):
            return b""
        raise OSError(errno.ENOSYS, "not served")

    def _ioctl(self, body: bytes) -> bytes:
        handle, _, command, argument, in_size, room = _IOCTL_IN.unpack_from(body)
        data = body[_IOCTL_IN.size : _IOCTL_IN.size + in_size]
        answer = self.ioctl(handle, command, argument, data, room)
        if isinstance(answer, Answer):
            return _IOCTL_OUT.pack(answer.result, 0, 0, 0) + answer.out
        pieces = b"".join(struct.pack("<QQ", *piece) for piece in answer.inputs + answer.outputs)
        counts = len(answer.inputs), len(answer.outputs)
        return _IOCTL_OUT.pack(0, RETRY, *counts) + pieces
