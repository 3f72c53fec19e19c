"""Watchdog: the Linux kernel's (/dev/watchdog; Documentation/watchdog/watchdog-api)."""

import errno
import fcntl
import os
import struct

from firmware.hal.watchdog import Watchdog, WatchdogError

#: ioctl numbers of linux/watchdog.h, and bits of their answers.
GETSUPPORT, GETBOOTSTATUS, SETTIMEOUT, GETTIMEOUT = 0x80285700, 0x80045702, 0xC0045706, 0x80045707
CARD_RESET, MAGIC_CLOSE = 0x20, 0x100


class LinuxWatchdog(Watchdog):
    """``timeout_s``: asked of the device, which may round it; ``timeout_ms`` says what it took."""

    def __init__(self, path: str = "/dev/watchdog", timeout_s: int = 60) -> None:
        if not 5 <= timeout_s <= 3600:
            raise ValueError("a watchdog's time is 5 to 3600 s")
        self.timeout_ms = timeout_s * 1000
        self._path = path
        self._wanted = timeout_s
        self._node = -1
        self._stoppable = False
        if not os.path.exists(path):
            raise WatchdogError("watchdog " + path + " is not there")

    def _wrong(self, what: str, error: OSError) -> WatchdogError:
        return WatchdogError(f"watchdog {self._path}: {what}: {error.strerror or error}")

    async def start(self) -> None:
        """Open it, which arms it; set its time. WatchdogError."""
        if self._node >= 0:
            return
        try:
            self._node = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._wrong("cannot be opened", error) from None
        try:
            answer = fcntl.ioctl(self._node, SETTIMEOUT, struct.pack("i", self._wanted))
            support = fcntl.ioctl(self._node, GETSUPPORT, bytes(40))
        except OSError as error:
            node, self._node = self._node, -1
            try:
                os.write(node, b"V")
            except OSError:
                pass  # what is wrong is said below
            finally:
                os.close(node)
            raise self._wrong("takes no time", error) from None
        self.timeout_ms = struct.unpack("i", answer)[0] * 1000
        self._stoppable = bool(struct.unpack_from("I", support)[0] & MAGIC_CLOSE)
        self.armed = True
        await self.feed()

    async def feed(self) -> None:
        """Begin the time anew. WatchdogError."""
        if self._node < 0:
            raise WatchdogError("watchdog " + self._path + " was not started")
        try:
            os.write(self._node, b".")
        except OSError as error:
            raise self._wrong("cannot be fed", error) from None

    async def stop(self) -> None:
        """The magic close. WatchdogError where the device, or the kernel, forbids it."""
        if self._node < 0:
            return
        node, self._node = self._node, -1
        self.armed = False
        try:
            os.write(node, b"V")
        except OSError as error:
            raise self._wrong("cannot be stopped", error) from None
        finally:
            os.close(node)
        if not self._stoppable:
            raise WatchdogError(f"watchdog {self._path} cannot be stopped: it resets the board")

    async def check(self) -> str:
        """The device's own time; before ``start``, which would arm it, only whether it
        may be opened. WatchdogError."""
        if self._node < 0:
            if not os.path.exists(self._path):
                raise WatchdogError("watchdog " + self._path + " is not there")
            if not os.access(self._path, os.W_OK):
                denied = OSError(errno.EACCES, os.strerror(errno.EACCES))
                raise self._wrong("cannot be opened", denied)
            return ""
        try:
            answer = fcntl.ioctl(self._node, GETTIMEOUT, bytes(4))
        except OSError as error:
            raise self._wrong("does not tell its time", error) from None
        return str(struct.unpack("i", answer)[0]) + " s"

    async def bitten(self) -> bool:
        """Whether the last reset was its doing. WatchdogError before ``start``."""
        if self._node < 0:
            raise WatchdogError("watchdog " + self._path + " was not started")
        try:
            answer = fcntl.ioctl(self._node, GETBOOTSTATUS, bytes(4))
        except OSError:
            return False
        return bool(struct.unpack("i", answer)[0] & CARD_RESET)
