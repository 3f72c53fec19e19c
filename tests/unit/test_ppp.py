"""The PPP carrier: what it makes of pppd's words and ends, with a program in pppd's place.

The program keeps to pppd(8): options file, words on standard output, exit codes.
The real one is tried in the rig, whose kernel has PPP (tests/rig/guest/test_ppp.py).
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses import ppp_linux
from firmware.buses.data_line import DataLine
from firmware.buses.ppp_linux import PppCarrier, options
from firmware.buses.wire import BusError
from firmware.hal import bearer
from firmware.hal.bearer import BearerError
from tests.support.descriptors import open_descriptors
from tests.support.modem_rig import ModemRig
from tests.support.virtual_time import run

PROGRAM = """#!{python} -S
import os, signal, sys, time
assert sys.argv[1] == "file" and len(sys.argv) == 3, sys.argv
path = sys.argv[2]
words = open(path).read().split("\\n")
terminal = os.open(words[0], os.O_RDWR | os.O_NOCTTY)
def say(text):
    os.write(1, text.encode() + b"\\n")
def agree():
    os.write(terminal, b"~who are you~")
    heard = b""
    while not heard.endswith(b"~me~"):
        heard += os.read(terminal, 64)
    for text in ("local  IP address 10.64.0.7", "remote IP address 10.64.0.1",
                 "primary   DNS address 10.64.0.53", "secondary DNS address 9.9.9.9"):
        say(text)
def wait_for(word):
    heard = b""
    while word not in heard:
        got = os.read(terminal, 64)
        if not got:
            sys.exit(16)
        heard += got
say("Using interface ppp3")
say("Connect: ppp3 <--> " + words[0])
{act}
"""
ACTS = {
    "up": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); agree(); wait_for(b'never')",
    "refused": "say('CHAP authentication failed'); sys.exit(19)",
    # The far end was faster to hang up.
    "refused, hung up": "say('CHAP authentication failed'); say('Modem hangup'); sys.exit(16)",
    "refused, waits": "say('CHAP authentication failed'); wait_for(b'never')",
    "no kernel": "sys.exit(4)",
    # As the real one ends: by the words it was hung up, though it gave up itself.
    "no agreement": "say('LCP: timeout sending Config-Requests'); say('Connection terminated.');"
                    "say('Modem hangup'); sys.exit(16)",
    "deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    "peer lost": "agree(); wait_for(b'die'); say('No response to 4 echo-requests'); sys.exit(15)",
    "noise": "os.write(1, b'\\xff' * 5000 + b'\\nlocal  IP\\n' + b'x' * 5000 + b'\\n');"
             "agree(); wait_for(b'n')",
}  # fmt: skip


class Line(DataLine):
    """A call; the far end is the test's."""

    def __init__(self) -> None:
        self.sent = b""
        self.broken = False
        self._queue = aio.Queue()
        self._wrote = aio.Event()

    def say(self, data: bytes) -> None:
        self._queue.put(data)

    async def read(self, most: int) -> bytes:
        data: bytes = await self._queue.get()
        return data

    async def write(self, data: bytes) -> None:
        if self.broken:
            raise BusError("port gone")
        self.sent += data
        self._wrote.set()
        if self.sent.endswith(b"~who are you~"):
            self.say(b"~me~")


def carrier(folder: Path, act: str, **more: object) -> PppCarrier:
    program = folder / "pppd"
    program.write_text(PROGRAM.format(python=sys.executable, act=ACTS[act]))
    program.chmod(0o755)
    private = folder / "private"
    private.mkdir(exist_ok=True)
    return PppCarrier(program=str(program), folder=str(private), **more)  # type: ignore[arg-type]


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        name, _ = await aio.first(("story", story()), timeout_ms=20_000)  # type: ignore[arg-type]  # an async function's
        assert name == "story", "the story did not end"

    aio.run(main())


async def until(ready: Callable[[], object]) -> None:
    while not ready():
        await aio.sleep_ms(5)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def pid_of(ppp: PppCarrier) -> int:
    assert ppp._process is not None
    return ppp._process.pid


def test_the_options_have_no_secret_on_the_command_line(tmp_path: Path) -> None:
    async def story() -> None:
        ppp = carrier(tmp_path, "up", user='shop"7', password="hush\\ now")
        line = Line()
        task = aio.spawn("up", ppp.up(line))
        await until(lambda: list(tmp_path.glob("private/*/peer")))
        (peer,) = tmp_path.glob("private/*/peer")
        assert stat.S_IMODE(peer.stat().st_mode) == 0o600
        assert stat.S_IMODE(peer.parent.stat().st_mode) == 0o700
        await until(lambda: ppp._process is not None)
        shown = Path(f"/proc/{pid_of(ppp)}/cmdline").read_bytes()
        shown += Path(f"/proc/{pid_of(ppp)}/environ").read_bytes()
        assert b"hush" not in shown and b"shop" not in shown
        assert await task.join() == "10.64.0.7"
        assert not list(tmp_path.glob("private/*"))  # read, and gone
        await ppp.down()

    text = options("/dev/pts/9", 'sh"op', "hush\\ now", 700)
    assert 'user "sh\\"op"\n' in text and 'password "hush\\\\ now"\n' in text
    assert "noauth\n" in text and "defaultroute-metric 700\n" in text
    assert "nodefaultroute\n" in options("/dev/pts/9", "", "", -1)
    for bad in ("a\nconnect /bin/sh", "a\x00b"):
        with pytest.raises(ValueError, match="control"):
            PppCarrier(password=bad)
    play(story)


def test_up_with_address_and_name_servers_and_down(tmp_path: Path) -> None:
    async def story() -> None:
        ppp = carrier(tmp_path, "up")
        for _ in range(2):
            assert await ppp.up(Line()) == "10.64.0.7"
            assert (ppp.interface, ppp.dns) == ("ppp3", ("10.64.0.53", "9.9.9.9"))
            assert ppp.lost() == ""
            pid = pid_of(ppp)
            await ppp.down()
            assert not alive(pid) and (ppp.interface, ppp.dns) == ("", ())
        await ppp.down()

    before = open_descriptors()
    play(story)
    assert open_descriptors() <= before


def test_bytes_are_what_the_kernel_counts_over_all_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "net" / "ppp3" / "statistics"

    def count(sent: str, received: str) -> None:
        (folder / "tx_bytes").write_text(sent)
        (folder / "rx_bytes").write_text(received)

    async def story() -> None:
        ppp = carrier(tmp_path, "up")
        assert ppp.counters() == (0, 0)
        await ppp.up(Line())
        assert ppp.counters() == (0, 0)  # a kernel that does not tell yet
        folder.mkdir(parents=True)
        count("1200\n", "3400\n")
        assert ppp.counters() == (1200, 3400)
        count("1500\n", "x" * 100)
        assert ppp.counters() == (1500, 3400)
        await ppp.down()
        count("9\n", "9\n")  # somebody else's ppp3
        assert ppp.counters() == (1500, 3400)
        await ppp.up(Line())
        count("100\n", "200\n")
        assert ppp.counters() == (1600, 3600)
        await ppp.up(Line())  # again, after a call that died
        assert ppp.counters() == (1700, 3800)
        await ppp.down()

    monkeypatch.setattr(ppp_linux, "_NET", str(tmp_path / "net"))
    play(story)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("refused", r"refuses user name or password \(CHAP authentication failed\)"),
        ("refused, hung up", r"refuses user name or password \(CHAP authentication failed\)"),
        ("no kernel", "no PPP"),
        ("no agreement", "no agreement on PPP .LCP: timeout"),
    ],
)
def test_why_it_did_not_come_up(tmp_path: Path, act: str, said: str) -> None:
    async def story() -> None:
        with pytest.raises(BusError, match=said):
            await carrier(tmp_path, act, password="hush").up(Line())
        assert not list(tmp_path.glob("private/*"))

    play(story)


def test_a_refusal_is_told_though_the_call_ends_first(tmp_path: Path) -> None:
    async def story() -> None:
        ppp, line = carrier(tmp_path, "refused, waits"), Line()
        task = aio.spawn("up", ppp.up(line))
        await until(lambda: "failed" in ppp._last)
        line.say(b"")
        with pytest.raises(BusError, match="refuses user name or password"):
            await task.join()

    play(story)


def test_no_program_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        ppp = PppCarrier(program=str(tmp_path / "nowhere"), folder=str(tmp_path))
        with pytest.raises(BusError, match="No such file"):
            await ppp.up(Line())
        assert not list(tmp_path.iterdir())

    before = open_descriptors()
    play(story)
    assert open_descriptors() <= before


def test_a_kernel_that_tells_of_no_end_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that was begun ends all the same."""
    started: list[int] = []

    def refused(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    async def story() -> None:
        ppp = carrier(tmp_path, "deaf")
        with pytest.raises(BusError, match="not implemented"):
            await ppp.up(Line())
        with pytest.raises(ProcessLookupError):
            os.kill(started[0], 0)
        await ppp.down()

    monkeypatch.setattr(os, "pidfd_open", refused)
    play(story)


def test_a_start_is_bounded_and_a_deaf_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ppp_linux, "UP_MS", 400)
    monkeypatch.setattr(ppp_linux, "END_MS", 100)

    async def story() -> None:
        ppp = carrier(tmp_path, "deaf")
        with pytest.raises(BusError, match="no agreement within 400 ms"):
            await ppp.up(Line())
        # Given up from outside, as by a start's own bound.
        task = aio.spawn("up", ppp.up(Line()))
        await until(lambda: ppp._process is not None)
        pid = pid_of(ppp)
        assert alive(pid)
        task.cancel()
        await task.done.wait()
        assert not alive(pid)
        assert not list(tmp_path.glob("private/*"))

    play(story)


def test_a_farewell_that_nobody_waits_for_ends_the_process(tmp_path: Path) -> None:
    async def story() -> None:
        ppp = carrier(tmp_path, "deaf")
        beginning = aio.spawn("up", ppp.up(Line()))
        await until(lambda: ppp.interface)
        process = ppp._process
        assert process is not None
        beginning.cancel()
        await aio.sleep_ms(50)
        beginning.cancel()  # in its farewell
        await beginning.done.wait()
        assert process.returncode is not None
        await ppp.down()

    play(story)


def test_a_lost_peer_an_ended_call_and_a_broken_port(tmp_path: Path) -> None:
    async def story() -> None:
        ppp, line = carrier(tmp_path, "peer lost"), Line()
        await ppp.up(line)
        line.say(b"die")
        await until(ppp.lost)
        assert ppp.lost() == "the far end does not answer any more (No response to 4 echo-requests)"
        ppp, line = carrier(tmp_path, "up"), Line()
        await ppp.up(line)
        line.say(b"")
        await until(ppp.lost)
        assert ppp.lost() == "the call ended"
        await ppp.down()
        line = Line()
        line.broken = True
        with pytest.raises(BusError, match="port gone"):
            await ppp.up(line)
        assert await ppp.up(Line()) == "10.64.0.7"
        await ppp.down()

    play(story)


def test_noise_in_its_words_is_no_address(tmp_path: Path) -> None:
    async def story() -> None:
        ppp = carrier(tmp_path, "noise")
        assert await ppp.up(Line()) == "10.64.0.7"
        await ppp.down()

    play(story)


def test_only_the_process_that_it_started_is_ended(tmp_path: Path) -> None:
    async def story() -> None:
        ppp, other = carrier(tmp_path, "up"), carrier(tmp_path, "up")
        await ppp.up(Line())
        await other.up(Line())
        pid = pid_of(other)
        await ppp.down()
        assert alive(pid) and other.lost() == ""
        await other.down()

    play(story)


def test_a_modem_whose_ppp_is_lost_has_no_carrier() -> None:
    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        assert (await rig.modem.status()).state == bearer.UP
        rig.carrier.lost = lambda: "the far end does not answer any more"  # type: ignore[method-assign]
        status = await rig.modem.status()
        assert (status.state, status.cause) == (bearer.DOWN, "no_carrier")
        rig.carrier.lost = lambda: ""  # type: ignore[method-assign]
        await rig.modem.reset("bearer", 15_000)
        assert (await rig.modem.status()).state == bearer.UP

    run(main())


def test_the_address_and_its_error_reach_the_bearer() -> None:
    async def main() -> None:
        rig = ModemRig()
        rig.carrier.dns = ("10.64.0.53",)
        await rig.modem.start(40_000)
        status = await rig.modem.status()
        assert (status.address, status.dns) == ("10.64.0.7", ("10.64.0.53",))
        assert rig.modem.dns == status.dns

        async def refused(line: DataLine) -> str:
            raise BusError("PPP: the network refuses user name or password")

        await rig.modem.stop()
        rig.carrier.up = refused  # type: ignore[method-assign]
        with pytest.raises(BearerError, match="refuses user name"):
            await rig.modem.start(40_000)

    run(main())
