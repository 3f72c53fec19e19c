"""Counter: an NV counter in a TPM 2.0 (TCG TPM 2.0 Library, TPM2_NV_Increment). Linux only.

Commands, sessions and their HMACs are tpm2-pytss's (ESAPI); the bytes pass
through this file, so that every wait has an end. Reading and stepping go in
an HMAC session under the secret: it never crosses the chip's bus then, and
an answer that was altered on it is refused. Only making a counter sends it,
once in a terminal's life.

The index takes the secret alone (no owner, no policy), counts, and is outside
the dictionary-attack lockout, which a stranger's guesses could start.
"""

import os
import select
import socket
import stat
import time

from firmware import aio
from firmware.errors import Timeout
from firmware.hal.counter import (
    Counter,
    CounterError,
    CounterForeign,
    CounterLocked,
    CounterMissing,
    CounterUnset,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

#: In the owner's range of the TCG registry of reserved handles, 01800000 to 01BFFFFF.
INDEX = 0x018A7111
#: TPMA_NV_AUTHWRITE, type counter, TPMA_NV_AUTHREAD, TPMA_NV_NO_DA.
_ATTRIBUTES = 0x00000004 | 0x00000010 | 0x00040000 | 0x02000000
_WRITTEN = 0x20000000
_SIZE = 8
_SHA256 = 0x000B

#: TPM_RC of format one, without the number of handle, parameter or session.
_RC_HANDLE, _RC_AUTH_FAIL, _RC_BAD_AUTH = 0x08B, 0x08E, 0x0A2
_RC_NV_AUTHORIZATION, _RC_NV_UNINITIALIZED = 0x149, 0x14A
_RC_NV_RATE, _RC_LOCKOUT, _RC_RETRY, _RC_NV_UNAVAILABLE = 0x920, 0x921, 0x922, 0x923
_NAMED: "dict[int, type[CounterError]]" = {
    _RC_HANDLE: CounterUnset,
    _RC_NV_UNINITIALIZED: CounterUnset,
    _RC_AUTH_FAIL: CounterForeign,
    _RC_BAD_AUTH: CounterForeign,
    _RC_NV_AUTHORIZATION: CounterForeign,
    _RC_NV_RATE: CounterLocked,
    _RC_LOCKOUT: CounterLocked,
    _RC_RETRY: CounterLocked,
    _RC_NV_UNAVAILABLE: CounterLocked,
}

#: A header has tag (2), size (4) and code (4); no answer of ours is near the most.
_HEADER, _MOST = 10, 4096
#: Between two tries of what the chip puts off.
_PAUSE_MS = 250


class TpmCounter(Counter):
    """``path``: the kernel's resource manager, or the UNIX socket of a software TPM.
    ``within_ms``: what one exchange may take; a call ends within twice that and a second."""

    def __init__(
        self, path: str = "/dev/tpmrm0", index: int = INDEX, within_ms: int = 4000
    ) -> None:
        self._path = path
        self._index = index
        self._within_ms = within_ms
        self._worker = aio.Worker("tpm")
        self._tss: "Any" = None

    async def find(self, secret: "bytes | bytearray") -> int:
        """The value. CounterMissing, CounterUnset, CounterForeign, CounterLocked, CounterError."""
        return await self._call(_Session.find, secret)

    async def make(self, secret: "bytes | bytearray") -> int:
        """Make the index if it is not there, or is of another secret. As ``find``; needs
        that the TPM's owner has no password."""
        return await self._call(_Session.make, secret)

    async def step(self, secret: "bytes | bytearray") -> int:
        """TPM2_NV_Increment. As ``find``."""
        return await self._call(_Session.step, secret)

    async def _call(self, act: "Callable[[_Session], int]", secret: "bytes | bytearray") -> int:
        if self._tss is None:
            self._tss = await self._worker.call(_library)  # it takes its time, not the chip's
        began = aio.ticks_ms()
        while True:
            try:
                return await aio.deadline(
                    self._within_ms + 1000, self._worker.call(self._run, act, secret)
                )
            except CounterLocked:
                if aio.elapsed_ms(began) + _PAUSE_MS > self._within_ms:
                    raise
            except Timeout:
                # Closing waits for the kernel, which waits for the chip.
                raise CounterError("TPM " + self._path + ": the kernel gives no answer") from None
            await aio.sleep_ms(_PAUSE_MS)

    # Everything below runs in the worker's thread.

    def _run(self, act: "Callable[[_Session], int]", secret: "bytes | bytearray") -> int:
        line = _Line(self._path, self._within_ms)
        try:
            return _Session(self._tss, line, self._index, secret).run(act)
        finally:
            line.close()


def _library() -> "Any":
    # What goes wrong is named here; the library would write it on stderr as well.
    os.environ.setdefault("TSS2_LOG", "all+none")
    try:
        import tpm2_pytss
    except ImportError as error:
        raise CounterMissing(
            "tpm2-pytss is not installed (pip install 'opentill[tpm]'): " + str(error)
        ) from None
    except TypeError as error:  # 1.2, as Debian 12 has it, beside a newer cryptography
        raise CounterMissing("this tpm2-pytss is too old: " + str(error)) from None
    return tpm2_pytss


class _Session:
    """One connection's worth of commands."""

    def __init__(self, tss: "Any", line: "_Line", index: int, secret: "bytes | bytearray") -> None:
        self._tss = tss
        self._line = line
        self._index = index
        self._secret = bytes(secret)
        self._esapi: "Any" = None
        self._handle: "Any" = None
        self._hmac: "Any" = None
        self._written = False

    def run(self, act: "Callable[[_Session], int]") -> int:
        """``act`` with a name for whatever goes wrong."""
        way = self._way()
        try:
            with self._tss.ESAPI(way) as self._esapi:
                try:
                    return act(self)
                finally:
                    # Without a resource manager a session stays in the chip, which has few.
                    if self._hmac is not None and self._line.trouble is None:
                        self._esapi.flush_context(self._hmac)
        except self._tss.TSS2_Exception as error:
            if self._line.trouble is not None:
                raise self._line.trouble from None
            raise self._named(error) from None

    def find(self) -> int:
        """Read the counter of this secret."""
        if not self._written and not self._look():
            raise CounterUnset(self._said("the counter was never stepped"))
        data = self._esapi.nv_read(
            self._handle, _SIZE, 0, auth_handle=self._handle, session1=self._opened()
        )
        return int.from_bytes(bytes(data), "big")

    def step(self) -> int:
        """Step it."""
        self._look()
        self._increment()
        return self.find()

    def make(self) -> int:
        """Have one, stepped at least once."""
        try:
            written = self._look()
        except self._tss.TSS2_Exception as error:
            if _code(error) != _RC_HANDLE:
                raise
            self._define()
            written = False
        try:
            if not written:
                self._increment()
            return self.find()
        except self._tss.TSS2_Exception as error:
            if _code(error) not in (_RC_AUTH_FAIL, _RC_BAD_AUTH):
                raise
        # It is of a vault that died, for this one is only being made.
        self._as_owner(self._esapi.nv_undefine_space, self._handle)
        self._define()
        self._increment()
        return self.find()

    # -- inside ---------------------------------------------------------------------

    def _look(self) -> bool:
        """Whether the index has been stepped; CounterForeign if it is none of ours."""
        self._handle = self._esapi.tr_from_tpmpublic(self._index)
        found = self._esapi.nv_read_public(self._handle)[0].nvPublic
        attributes = int(found.attributes)
        ours = attributes & ~_WRITTEN == _ATTRIBUTES and int(found.dataSize) == _SIZE
        if not ours or int(found.nameAlg) != _SHA256 or bytes(found.authPolicy):
            raise CounterForeign(self._said("something else is kept there"))
        self._esapi.tr_set_auth(self._handle, self._secret)
        self._written = attributes & _WRITTEN != 0
        return self._written

    def _opened(self) -> "Any":
        """The HMAC session, begun at first use; it lasts as long as the connection."""
        if self._hmac is None:
            tss, none = self._tss, self._tss.ESYS_TR.NONE
            plain = tss.TPMT_SYM_DEF(algorithm=tss.TPM2_ALG.NULL)
            self._hmac = self._esapi.start_auth_session(
                none, none, tss.TPM2_SE.HMAC, plain, tss.TPM2_ALG.SHA256
            )
            going_on = tss.TPMA_SESSION.CONTINUESESSION
            self._esapi.trsess_set_attributes(self._hmac, going_on)
        return self._hmac

    def _increment(self) -> None:
        self._esapi.nv_increment(self._handle, auth_handle=self._handle, session1=self._opened())

    def _define(self) -> None:
        tss = self._tss
        public = tss.TPM2B_NV_PUBLIC(
            nvPublic=tss.TPMS_NV_PUBLIC(
                nvIndex=self._index,
                nameAlg=tss.TPM2_ALG.SHA256,
                attributes=_ATTRIBUTES,
                authPolicy=b"",
                dataSize=_SIZE,
            )
        )
        self._as_owner(self._esapi.nv_define_space, self._secret, public)
        self._look()

    def _as_owner(self, act: "Callable[..., Any]", *arguments: "Any") -> None:
        try:
            act(*arguments)
        except self._tss.TSS2_Exception as error:
            if _code(error) not in (_RC_AUTH_FAIL, _RC_BAD_AUTH):
                raise
            raise CounterError(self._said("the TPM's owner has a password; clear it")) from None

    def _said(self, what: str) -> str:
        return self._line.path + ", index " + hex(self._index) + ": " + what

    def _named(self, error: "Any") -> CounterError:
        return _NAMED.get(_code(error), CounterError)(self._said(str(error)))

    def _way(self) -> "Any":
        """The library's door to the line."""
        line = self._line

        class Way(self._tss.PyTCTI):  # type: ignore[misc, name-defined]
            def do_transmit(self, command: bytes) -> None:
                line.send(command)

            def do_receive(self, timeout: int) -> bytes:
                return line.receive()

        return Way()


def _code(error: "Any") -> int:
    """TPM_RC of the chip itself; 0 for what went wrong before or behind it."""
    code = int(error.rc)
    if code >> 16:
        return 0
    return 0x80 | code & 0x3F if code & 0x80 else code & 0xFFF


class _Line:
    """Bytes to the TPM and back, all before one moment. What fails stays in ``trouble``,
    because the library turns it into a number."""

    def __init__(self, path: str, within_ms: int) -> None:
        """CounterMissing when nothing is there or it may not be opened."""
        self.path = path
        self.trouble: "CounterError | None" = None
        self._within_ms = within_ms
        self._ends = time.monotonic() + within_ms / 1000
        try:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                with socket.socket(socket.AF_UNIX) as end:
                    end.settimeout(within_ms / 1000)
                    end.connect(path)
                    end.setblocking(False)
                    self._node = end.detach()
            else:
                self._node = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise CounterMissing(f"no TPM at {path}: {error.strerror or error}") from None

    def close(self) -> None:
        """Let go; the resource manager forgets what this connection began."""
        os.close(self._node)

    def send(self, command: bytes) -> None:
        """One command, whole."""
        self._kept(self._send, command)

    def receive(self) -> bytes:
        """One answer, as long as its header says."""
        return self._kept(self._receive)

    def _kept(self, act: "Callable[..., T]", *arguments: "Any") -> "T":
        if self.trouble is not None:
            raise self.trouble
        try:
            return act(*arguments)
        except (OSError, CounterError) as error:
            self.trouble = CounterError("TPM " + self.path + ": " + str(error))
            raise self.trouble from None

    def _send(self, command: bytes) -> None:
        left = memoryview(command)
        while left:
            self._wait(select.POLLOUT)
            left = left[os.write(self._node, left) :]

    def _receive(self) -> bytes:
        answer = b""
        size = _HEADER
        while len(answer) < size:
            self._wait(select.POLLIN)
            part = os.read(self._node, _MOST)
            if not part:
                raise CounterError("it hung up in mid-answer")
            answer += part
            if len(answer) >= _HEADER:
                size = int.from_bytes(answer[2:6], "big")
                if not _HEADER <= size <= _MOST:
                    raise CounterError("an answer of " + str(size) + " bytes")
        if len(answer) > size:
            raise CounterError("more came than one answer")
        return answer

    def _wait(self, for_what: int) -> None:
        poll = select.poll()
        poll.register(self._node, for_what)
        left = self._ends - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise CounterError("no answer within " + str(self._within_ms) + " ms")
