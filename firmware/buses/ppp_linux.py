"""PPP on a modem's call by Debian's pppd (Linux, CPython only).

The modem's port stays ours: it takes commands again after the call. So pppd gets
a pseudo-terminal, and the bytes go between that and the call here. pppd needs
root, and a kernel with PPP. Its options, the network's password among them, are in a
file that only its owner can read, in a folder of its own, gone once the link is up.
What pppd says on its standard output tells address, interface and name servers; its
exit code tells why it ended (pppd(8), tried with the words of 2.4.9).
"""

import os
import shutil
import signal
import subprocess
import tempfile
import tty

from firmware import aio
from firmware.buses.data_line import Carrier, DataLine
from firmware.buses.wire import BusError

#: All of the agreement; the caller's own bound is shorter or longer.
UP_MS = 45000
#: After the address come the name servers, at once.
MORE_MS = 200
#: How long pppd may take to say goodbye before it is killed.
END_MS = 3000
#: What it says is kept so far for an error's text.
LINE_MOST = 400
_CHUNK = 2048
_NET = "/sys/class/net"

#: Words of exit codes, pppd(8), EXIT STATUS.
ENDS = {
    0: "the far end closed the link",
    2: "pppd does not take its options",
    3: "pppd is not root",
    4: "the kernel has no PPP",
    5: "pppd was ended by a signal",
    7: "pppd cannot open its terminal",
    10: "no agreement on PPP",
    11: "the far end did not say who it is",
    15: "the far end does not answer any more",
    16: "the call ended",
    17: "the line gives back what we send",
    19: "the network refuses user name or password",
}


DISAGREED, HUNG_UP, REFUSED = 10, 16, 19
#: What it says when the far end does not take our login.
_REFUSALS = ("CHAP authentication failed", "PAP authentication failed")
#: After the call ended pppd may take so long to say why, looked at so often.
LAST_WORDS_MS, LOOK_MS = 300, 20
#: What it says at every end.
_FAREWELL = ("Connection terminated.", "Modem hangup", "Exit.")


class _Handle:
    """A file descriptor to wait for."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


def _quoted(value: str) -> str:
    """A word of pppd's options file. ValueError for what no option can hold."""
    if not value.isprintable():
        raise ValueError("a PPP option cannot hold control characters")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def options(terminal: str, user: str, password: str, metric: int) -> str:
    """The options file. ``metric``: of the default route through it, -1 for none."""
    lines = [
        terminal, "nodetach", "local", "nocrtscts", "nolock", "noauth", "hide-password",
        "noipdefault", "ipcp-accept-local", "ipcp-accept-remote", "usepeerdns", "noipv6",
        "novj", "noccp", "lcp-echo-interval 15", "lcp-echo-failure 4", "lcp-max-configure 8",
        "maxfail 1",
    ]  # fmt: skip
    lines += ["user " + _quoted(user)] if user else []
    lines += ["password " + _quoted(password)] if password else []
    lines += (
        ["defaultroute", f"defaultroute-metric {metric}"] if metric >= 0 else ["nodefaultroute"]
    )
    return "\n".join(lines) + "\n"


class PppCarrier(Carrier):
    """``user``, ``password``: the network's, mostly "". ``metric``: of the default route
    through the link (NetworkManager gives mobile links 700), -1 for no route.
    ``program``: where pppd is. ``folder``: for the options file, "" for the system's.
    """

    def __init__(
        self,
        user: str = "",
        password: str = "",
        metric: int = 700,
        program: str = "pppd",
        folder: str = "",
    ) -> None:
        self._metric = metric
        self.login(user, password)
        self._program = program
        self._folder = folder or None
        self._process: subprocess.Popen[bytes] | None = None
        self._pair: tuple[int, int] = (-1, -1)
        self._log = -1
        self._pid = -1
        self._private = ""
        self._tasks: list[aio.Task] = []
        self._told = aio.Event()
        self._end: str | None = None
        self._last = ""
        self._unheard = False  # nobody at the far end speaks PPP
        self._refused = False  # our login is not taken
        self._address = ""
        # Of the calls before, and of this one when it was last looked at.
        self._before = [0, 0]
        self._counted = [0, 0]

    # ---- contract -----------------------------------------------------------------

    def login(self, user: str, password: str) -> None:
        options("", user, password, self._metric)  # what no option can hold is said at once
        self._login = (user, password)

    async def up(self, line: DataLine) -> str:
        await self.down()
        self._end, self._last, self._address = None, "", ""
        self._unheard = self._refused = False
        self.interface, self.dns = "", ()
        up = False
        try:
            self._begin(line)
            name, _ = await aio.first(("settled", self._settled()), timeout_ms=UP_MS)
            if name == "timeout":
                raise BusError(f"PPP: no agreement within {UP_MS} ms")
            if self._end is not None:
                raise BusError("PPP: " + self._end)
            up = True
        except OSError as error:
            raise BusError(f"PPP: {error.strerror or error}") from None
        finally:
            self._forget_options()
            if not up:
                await self.down()
        return self._address

    def counters(self) -> tuple[int, int]:
        """What the kernel counts on the interface: IP's bytes. What passes after the last
        look at a call that then dies is not known."""
        if self.interface:
            for at, name in enumerate(("tx_bytes", "rx_bytes")):
                try:
                    path = f"{_NET}/{self.interface}/statistics/{name}"
                    with open(path, encoding="ascii") as file:
                        self._counted[at] = int(file.read(32))
                except (OSError, ValueError):
                    pass  # it has just gone
        return self._before[0] + self._counted[0], self._before[1] + self._counted[1]

    async def down(self) -> None:
        self._before, self._counted = list(self.counters()), [0, 0]
        self.interface, self.dns = "", ()
        process = self._process
        if process is not None and process.poll() is None:
            # Ours and not yet reaped: its number can be nobody else's.
            try:
                if self._pid >= 0:  # else there was no way to hear of its end
                    process.send_signal(signal.SIGTERM)
                    await aio.first(("ended", self._exited()), timeout_ms=END_MS)
            finally:  # also when nobody waits for its farewell any more
                if process.poll() is None:
                    process.kill()
                    process.wait()
        self._process = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.done.wait()
        for handle in (*self._pair, self._log, self._pid):
            if handle >= 0:
                os.close(handle)
        self._pair, self._log, self._pid = (-1, -1), -1, -1
        self._forget_options()
        self.interface, self.dns = "", ()

    def lost(self) -> str:
        return self._end or ""

    # ---- the process --------------------------------------------------------------

    def _begin(self, line: DataLine) -> None:
        """Start pppd and what carries its bytes. OSError."""
        self._pair = os.openpty()
        ours, its = self._pair
        tty.setraw(its)
        os.set_blocking(ours, False)
        self._private = tempfile.mkdtemp(prefix="opentill-ppp-", dir=self._folder)
        path = os.path.join(self._private, "peer")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(options(os.ttyname(its), *self._login, self._metric))
        self._log, log = os.pipe()
        os.set_blocking(self._log, False)
        try:
            self._process = subprocess.Popen(
                [self._program, "file", path],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._pid = os.pidfd_open(self._process.pid)
        self._tasks = [
            aio.spawn("ppp from the call", self._inwards(line)),
            aio.spawn("ppp into the call", self._outwards(line)),
            aio.spawn("ppp log", self._read_log()),
            aio.spawn("ppp end", self._watch(self._process)),
        ]

    async def _exited(self) -> None:
        await aio.readable(_Handle(self._pid))

    async def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        await self._exited()
        await aio.sleep_ms(0)  # its last words
        code = process.wait()
        if code == HUNG_UP and self._unheard:
            code = DISAGREED  # it hangs up because of that, and then says that it was hung up
        if code == HUNG_UP and self._refused:
            code = REFUSED  # the far end hung up before it did
        self._over(ENDS.get(code, f"pppd ended with {code}") + self._said())

    def _said(self) -> str:
        return f" ({self._last})" if self._last else ""

    def _over(self, why: str) -> None:
        if self._end is None:
            self._end = why
        self._told.set()

    async def _settled(self) -> None:
        """Until there is an address, or an end."""
        while self._end is None and not self._address:
            self._told.clear()
            await self._told.wait()
        if self._end is None:
            await aio.sleep_ms(MORE_MS)

    # ---- bytes --------------------------------------------------------------------

    async def _inwards(self, line: DataLine) -> None:
        """From the call to pppd."""
        ours = self._pair[0]
        try:
            while data := await line.read(_CHUNK):
                at = 0
                while at < len(data):
                    try:
                        at += os.write(ours, data[at:])
                    except BlockingIOError:
                        await aio.writable(_Handle(ours))
            await self._hung_up()
        except (BusError, OSError) as error:
            self._over(f"the call broke: {error}")

    async def _hung_up(self) -> None:
        """Who refuses us hangs up at once: what pppd heard of it tells more than the end."""
        left = LAST_WORDS_MS
        while left > 0 and self._end is None and not self._refused:
            await aio.sleep_ms(LOOK_MS)
            left -= LOOK_MS
        self._over(ENDS[REFUSED] + self._said() if self._refused else "the call ended")

    async def _outwards(self, line: DataLine) -> None:
        """From pppd to the call."""
        ours = self._pair[0]
        try:
            while True:
                try:
                    data = os.read(ours, _CHUNK)
                except BlockingIOError:
                    await aio.readable(_Handle(ours))
                    continue
                await line.write(data)
        except (BusError, OSError) as error:
            self._over(f"the call broke: {error}")

    async def _read_log(self) -> None:
        kept = b""
        while True:
            try:
                data = os.read(self._log, _CHUNK)
            except BlockingIOError:
                await aio.readable(_Handle(self._log))
                continue
            if not data:
                return
            *lines, kept = (kept + data).split(b"\n")
            kept = kept[-LINE_MOST:]
            for said in lines:
                self._hear(said[:LINE_MOST].decode("ascii", "replace").strip())

    def _hear(self, said: str) -> None:
        words = said.split()
        if words[:2] == ["Using", "interface"] and len(words) == 3:
            self.interface = words[2]
        elif words[1:3] == ["IP", "address"] and len(words) == 4:
            if words[0] == "local":
                self._address = words[3]
                self._told.set()
        elif words[1:3] == ["DNS", "address"] and len(words) == 4:
            self.dns += (words[3],)
        elif said and said not in _FAREWELL:
            self._last = said
            self._refused = self._refused or said in _REFUSALS
            self._unheard = self._unheard or said.startswith("LCP: timeout")

    def _forget_options(self) -> None:
        private, self._private = self._private, ""
        if private:
            shutil.rmtree(private, ignore_errors=True)
