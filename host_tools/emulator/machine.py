"""A virtual handheld that runs: the terminal's process, its chips, its bank.

The terminal is a process of its own (``python -m firmware.main``) that
reaches the chips over the wire's Unix socket and the bank over the virtual
modem. Cutting the power is killing that process; chips, paper, card and bank
go on, as they would.
"""

import asyncio
import collections
import contextlib
import ctypes
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from host_tools import board_file
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.place import Place
from host_tools.acquirer.server import AcquirerServer
from host_tools.commands.board import build_time, version
from host_tools.emulator import keeping, tap
from host_tools.emulator.chips.net import TcpEndpoint
from host_tools.emulator.deck import Deck, load
from host_tools.emulator.link_bench import CAUSES, LinkBench
from host_tools.emulator.pc_cable import PcCable
from host_tools.emulator.rack import Rack
from host_tools.emulator.rack_server import RackServer
from host_tools.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
#: The name that the terminal dials; the virtual modem connects it to the bank.
BANK_HOST = "bank.test"
#: Looks at the whole keypad that are enough for a debounced key, with room.
SCANS = 10
SCAN_LIMIT_S = 5.0
#: Transfers of the pins in which the terminal looks (firmware/buses/wire.py).
SCAN_OPS = (5,)
#: The tree of a terminal without power.
OFF: dict[str, Any] = {"screen": "off", "nodes": []}
#: Begins the terminal's own lines on stderr; others are an interpreter's.
WHAT = "till: "
#: Entries of the kernel's trace that are kept.
KERNEL_KEPT = 4000
#: What may be waited for of a link.
LINK_STATES = ("up", "degraded", "down", "carries", *CAUSES)
#: Longest text of a code, in bytes.
MOST_SCANNED = 1024
#: A Unix socket's address holds 108 bytes.
LONGEST_SOCKET = 100
#: ``prctl`` option: the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1


class Machine:
    """Everything behind the page, the demo and the scripted runs.

    ``folder`` holds the terminal's storage, its compiled board and the wire's
    socket; it is made if absent. ``listeners`` hear of trace entries.
    ``interpreter`` is the command that runs the terminal: this Python, or a
    MicroPython with its options. ``language`` is the one of the boot screens;
    with ``keep`` the bank's books and the cards' memories stay in ``folder``
    too, so that a later machine there goes on where this one ended. ``trace``:
    "masked" or "full", the kernel's trace that the terminal is asked for; "" for none.
    ``pc_port``: PCs connect to this port of loopback (0: any), not to a pseudo-terminal.
    """

    def __init__(
        self,
        folder: Path,
        board: str = "virtual",
        seed: int | None = None,
        interpreter: Sequence[str] = (sys.executable,),
        language: str = "en",
        keep: bool = False,
        trace: str = "",
        pc_port: int | None = None,
    ) -> None:
        self.folder = folder
        self.trace = trace
        self.interpreter = tuple(interpreter)
        #: Where the terminal finds the package ``firmware``.
        self.code = ROOT
        self.board_name = board
        self.language = language
        self.keep = keep
        self.board = board_file.read(board_file.find(board))
        if not self.board["board"].get("emulated"):
            raise UserError(f"board {board!r} is of real hardware; the emulator cannot be it")
        self._lock = keeping.locked(folder)
        self.deck: Deck = load()
        self._place = Place.open(folder / "bank") if keep else None
        self.acquirer = InProcessAcquirer(
            self.deck,
            ledger=self._place.ledger if self._place else None,
            authority=self._place.authority if self._place else None,
        )
        self.rack = Rack(_monotonic_us, seed, self.board)
        # To the microsecond: a clock behind the second of the build is refused at boot.
        seconds, past_ns = divmod(time.time_ns(), 1_000_000_000)
        self.rack.rtc.set(seconds, past_ns // 1000)
        self.inserted = ""
        self._tapped = ""
        self.printed_stderr: list[str] = []
        #: Why the terminal is off though nobody cut its power: exit code, its last own line.
        self.ended: tuple[int, str] | None = None
        #: What the kernel told of itself, the newest last.
        self.kernel: collections.deque[dict[str, Any]] = collections.deque(maxlen=KERNEL_KEPT)
        #: The terminal's zone, minutes east of UTC, as it was enrolled.
        self.utc_offset = 0
        self.listeners: list[Callable[[tap.Entry], None]] = []
        self._rack_server = RackServer(self.rack)
        self._bank_server = AcquirerServer(
            self.acquirer.bank, self.acquirer.context, port=0, on_sent=self._tap_answer
        )
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._cutting = False
        self._cards = keeping.CardMemories(self.deck, folder if keep else None)
        self._switching = asyncio.Lock()
        self._socket_folder: str | None = None
        self._card_tap = tap.CardTap()
        self._scrub = tap.EntryScrub(
            [app.pan for spec in self.deck.cards.values() for app in spec.apps]
            + [account.pan for account in self.deck.accounts()]
        )
        self.rack.debug.on_trace.append(self._tap_kernel)
        #: The links of a board that has several.
        self.links = LinkBench(self.rack, self.note)
        #: Where PCs connect, on a board that has a pipe to one.
        self.pc = PcCable(self.rack.pc)
        self._pc_port = pc_port
        self._scans = SCANS
        #: By key: looks at the keypad when it last moved.
        self._fingers: dict[str, int] = {}
        self._tapped_pins = self.rack.pins.transfer
        self.rack.pins.transfer = self._tap_pins  # type: ignore[method-assign]
        self._tapped_slot = self.rack.slot.transfer
        self.rack.slot.transfer = self._tap_slot  # type: ignore[method-assign]
        self._tapped_handle = self.acquirer.bank.handle
        self.acquirer.bank.handle = self._tap_bank  # type: ignore[method-assign]

    # ---- life ---------------------------------------------------------------------

    async def start(self) -> None:
        """Open the bank and the wire, and power the terminal."""
        await self.open()
        await self.power_on()

    async def open(self) -> None:
        """Open the bank and the wire, and compile the board; the terminal stays off."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "data").mkdir(mode=0o700, exist_ok=True)
        await self._bank_server.start()
        port = self._bank_server.port
        self.rack.net.dial = lambda host, _port: (
            TcpEndpoint("127.0.0.1", port) if host == BANK_HOST else None
        )
        await self._rack_server.listen_unix(str(self.socket))
        if "pc_pipe" in self.board:
            await self.pc.open(self.folder / "pc", self._pc_port)
        self._write_board()

    @property
    def bank_port(self) -> int:
        """The bank's port on loopback, once open."""
        return self._bank_server.port

    def _write_board(self) -> None:
        """Compile the board file, as ``till board build`` does."""
        data = board_file.read(board_file.find(self.board_name))
        data["board"]["languages"].sort(key=lambda name: name != self.language)
        module = board_file.module_text(board_file.compiled(data, version(), build_time()))
        (self.folder / "board.py").write_text(module, encoding="utf-8")

    def enrol(self, **wishes: Any) -> None:
        """Provision the terminal with the test bank, as an engineer would."""
        serial = str(self.board["board"]["serial"])
        wishes.setdefault("host", BANK_HOST)
        bundle, factory = self.acquirer.enrol(serial, **wishes)
        data = self.folder / "data"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in (("bundle.cbor", bundle), ("factory.cbor", factory)):
            path = data / name
            path.touch(mode=0o600)
            path.write_bytes(content)

    @property
    def socket(self) -> Path:
        """The wire's Unix socket."""
        path = self.folder / "wire"
        if len(os.fsencode(path)) < LONGEST_SOCKET:
            return path
        if self._socket_folder is None:
            self._socket_folder = tempfile.mkdtemp(prefix="opentill-")
        return Path(self._socket_folder) / "wire"

    @property
    def tree(self) -> dict[str, Any]:
        """The screen tree shown last; without name before the first, ``OFF`` without power."""
        if not self.powered:
            return OFF
        return self.rack.debug.tree or {"screen": "", "nodes": []}

    @property
    def zone(self) -> str:
        """The name of the zone of every time that is shown: the terminal's."""
        sign, minutes = "-" if self.utc_offset < 0 else "+", abs(self.utc_offset)
        return f"UTC{sign}{minutes // 60:02d}:{minutes % 60:02d}"

    @property
    def process_id(self) -> int | None:
        """Of the terminal's process; None while it is off."""
        return self._process.pid if self._process is not None and self.powered else None

    @property
    def powered(self) -> bool:
        """Whether the terminal's process runs."""
        return self._process is not None and self._process.returncode is None

    async def power_on(self) -> None:
        """Start the terminal's process; harmless while it runs."""
        async with self._switching:
            await self._power_on()

    async def _power_on(self) -> None:
        if self.powered:
            return
        serial = self.board["board"]["serial"]
        for row in self.acquirer.ledger.terminals():
            if row["serial"] == serial:
                self.utc_offset = row["utc_offset"]
        self.ended = None
        self.note("power on")
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.code),
            "MICROPYPATH": f".frozen:{self.code}",
        }
        self._process = await asyncio.create_subprocess_exec(
            *self.interpreter, "-m", "firmware.main",
            "--board", str(self.folder / "board.py"),
            "--data", str(self.folder / "data"),
            "--wire", str(self.socket),
            *(("--trace", self.trace) if self.trace else ()),
            cwd=self.folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # Ctrl-C is for this process, which then ends the terminal's.
            start_new_session=True, preexec_fn=_end_with_parent if _PRCTL else None,
        )  # fmt: skip
        self._watch = asyncio.create_task(self._collect(self._process))

    async def _collect(self, process: asyncio.subprocess.Process) -> None:
        """Keep what the terminal says on stderr, which should be nothing; when it
        ends, by itself or by a power cut, what had its power goes dark."""
        assert process.stderr is not None
        said = ""
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            # Where it happened may follow what happened.
            if text.startswith(WHAT) or not said.startswith(WHAT):
                said = text
            self.printed_stderr.append(text)
            self.note("stderr", text)
        code = await process.wait()
        self.rack.lose_power()
        if not self._cutting:
            self.ended = code, self._scrub.text(said)
            self.note("terminal ended by itself", f"exit code {code}  {said}".rstrip())

    async def power_cut(self) -> None:
        """Kill the terminal's process at once, as a power cut would."""
        async with self._switching:
            await self._power_cut()

    async def _power_cut(self) -> None:
        cut = self._process is not None and self.powered
        if self._process is not None and cut:
            self._cutting = True
            self._process.kill()
        if self._watch is not None:
            await self._watch
            self._watch = None
        if cut:
            self._cutting = False
            self.note("power cut")

    async def stop(self) -> None:
        """End everything that ``start`` began."""
        await self.power_cut()
        await self.pc.close()
        await self._rack_server.close()
        await self._bank_server.stop()
        self._cards.write()
        self.acquirer.close()
        self.socket.unlink(missing_ok=True)
        if self._socket_folder is not None:
            os.rmdir(self._socket_folder)
        self._lock.close()

    # ---- hands --------------------------------------------------------------------

    def _known_card(self, name: str) -> None:
        if name not in self.deck.cards:
            raise UserError(f"no card {name!r}; the deck has {', '.join(self.deck.cards)}")

    def insert(self, name: str) -> None:
        """Put a card of the deck in; nothing happens if it is in already. UserError
        for a name that the deck lacks."""
        self._known_card(name)
        if name == self.inserted:
            return
        if name == self.tapped:
            self.lift()
        chip = self._cards.chip(name)
        chip.tear_next(False)
        self.rack.slot.insert(chip)
        self.inserted = name
        self.note("card inserted", name)

    def remove(self) -> None:
        """Take the card out of the slot or away from the antenna, whatever runs."""
        self.lift()
        self.rack.slot.remove()
        if self.inserted:
            self.note("card removed", self.inserted)
        self.inserted = ""
        self._cards.write()

    @property
    def tapped(self) -> str:
        """The card at the antenna, "" for none."""
        return self._tapped if self.rack.nfc.cards else ""

    def tap_card(self, name: str) -> None:
        """Hold a card of the deck to the antenna, in place of one that is there, until
        ``lift``. UserError for a card that the deck lacks, has no antenna or is in the slot."""
        self._known_card(name)
        chip = self._cards.chip(name)
        if chip.contactless == "none":
            raise UserError(f"card {name!r} has no antenna")
        if name == self.inserted:
            raise UserError(f"card {name!r} is in the slot; take it out first")
        if name == self.tapped:
            return
        self.lift()
        self.rack.nfc.put(tap.TappedChip(chip, self._tell))
        self._tapped = name
        self.note("card tapped", name)

    def lift(self) -> None:
        """Take the card away from the antenna, whatever runs."""
        if self.tapped:
            self.rack.nfc.take()
            self.note("card lifted", self._tapped)
            self._cards.write()

    def swipe(self, name: str) -> None:
        """Draw a card of the deck through the swipe reader: its track 2. UserError."""
        self._known_card(name)
        self.rack.swipe.type(f";{self.deck.cards[name].stripe}?\n")
        self.note("card swiped", name)

    def scan(self, text: str) -> None:
        """Show the scanner a code: EAN-13 for 13 digits, else a QR code. UserError."""
        if not text or len(text.encode()) > MOST_SCANNED or not text.isprintable():
            raise UserError(f"a scan is 1 to {MOST_SCANNED} bytes of printable text")
        aim = "]E0" if len(text) == 13 and text.isascii() and text.isdigit() else "]Q1"
        self.rack.scanner.feed(f"{aim}{text}\r".encode())
        self.note("code scanned", text)

    def tear(self, armed: bool = True) -> None:
        """Take the card out at its next command; or do not, after all. UserError."""
        card = self.rack.slot.card
        if card is None:
            raise UserError("no card is in the slot")
        if card.armed != armed:
            card.tear_next(armed)
            self.note("tear out armed" if armed else "tear out called off", self.inserted)

    @property
    def network(self) -> bool:
        """Whether any network is there."""
        return self.links.any_there if self.links.names else self.rack.net.up

    def switch_network(self, there: bool) -> None:
        """Every network comes or goes."""
        if self.links.names:
            self.links.all(there)
        else:
            self.rack.net.link(there)

    @property
    def armed(self) -> bool:
        """Whether the card's next command takes it out."""
        return self.rack.slot.card is not None and self.rack.slot.card.armed

    def tear_paper(self) -> None:
        """Tear the paper off at the printer's edge."""
        if self.rack.printer.paper.rows:
            self.rack.printer.paper.tear()
            self.note("paper torn off")

    async def key_down(self, key: str) -> None:
        """Press a key; if it was let go just now, once that was noticed."""
        await self._scanned(self._fingers.get(key, 0))
        self.rack.keys.press(key)
        self._fingers[key] = self._scans

    async def key_up(self, key: str) -> None:
        """Let a key go, once the terminal had the time to notice it."""
        await self._scanned(self._fingers.get(key, 0))
        self.rack.keys.release(key)
        self._fingers[key] = self._scans

    async def press(self, *keys: str) -> None:
        """Press keys one after another, and wait until they are up again."""
        for key in keys:
            await self.key_down(key)
            await self.key_up(key)
            await self._scanned(self._fingers[key])

    async def _scanned(self, since: int) -> None:
        """Wait until the terminal has looked at its keypad often enough to believe
        what it saw, however slow this PC is; not for long if it does not look."""
        deadline = time.monotonic() + SCAN_LIMIT_S
        while self.powered and self._scans - since < SCANS and time.monotonic() < deadline:
            await asyncio.sleep(0.005)

    async def screen(self, *names: str, timeout_s: float = 10.0) -> dict[str, Any]:
        """Wait until the terminal shows one of these screens; its tree.

        UserError when it does not come in time, naming what is shown instead.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            tree = self.tree
            if tree.get("screen") in names:
                return tree
            if self.ended is not None and not self.powered:
                raise UserError(
                    f"the terminal ended by itself, exit code {self.ended[0]}: {self.ended[1]}"
                )
            if time.monotonic() > deadline:
                shown = tree.get("screen") or "nothing"
                said = [f"the terminal shows {shown!r}, not {' or '.join(names)}"]
                raise UserError("; ".join(said + self.printed_stderr[-3:]))
            await asyncio.sleep(0.02)

    async def link_is(self, name: str, state: str, timeout_s: float = 10.0) -> None:
        """Wait until the terminal says of a link that it is "up", "degraded" or "down", or
        why it is not up, or that it "carries". UserError as above."""

        def reached() -> bool:
            one = self.links.one(name)
            return state in (one["state"], one["cause"], "carries" if one["carries"] else "")

        if state not in LINK_STATES:
            raise UserError(f"no state {state!r} of a link; known: {', '.join(LINK_STATES)}")
        await self._until(reached, timeout_s, f"{name} is not {state}")

    async def leave(self, name: str, timeout_s: float = 10.0) -> None:
        """Wait until the terminal no longer shows this screen. UserError as above."""
        await self._until(
            lambda: self.tree.get("screen") != name, timeout_s, f"still shows {name!r}"
        )

    async def booked(self, timeout_s: float = 10.0, before: int | None = None) -> None:
        """Wait until the bank's ledger has more than ``before`` transactions (its
        present count if not said). UserError as above."""
        known = len(self.acquirer.transactions()) if before is None else before
        await self._until(
            lambda: len(self.acquirer.transactions()) > known, timeout_s, "no booking"
        )

    async def _until(self, what: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not what():
            if time.monotonic() > deadline:
                raise UserError(f"{complaint} after {timeout_s:.0f} s")
            await asyncio.sleep(0.02)

    # ---- taps ---------------------------------------------------------------------

    def note(self, title: str, text: str = "") -> None:
        """Put a line about the bench into the trace."""
        self._tell(tap.note(title, text))

    def _tell(self, entry: tap.Entry) -> None:
        clean = self._scrub.entry(entry)
        clean["time"] = time.strftime("%H:%M:%S", time.gmtime(time.time() + self.utc_offset * 60))
        for listener in self.listeners:
            listener(clean)

    def _tap_pins(self, op: int, payload: bytes) -> tuple[bytes, int]:
        self._scans += op in SCAN_OPS
        return self._tapped_pins(op, payload)

    def _tap_slot(self, op: int, payload: bytes) -> tuple[bytes, int]:
        try:
            answer, busy = self._tapped_slot(op, payload)
        finally:
            if self.rack.slot.card is None and self.inserted:
                self.note("card torn out", self.inserted)
                self.inserted = ""
        if op == 3:
            self._tell(self._card_tap.apdu(payload, answer, busy))
        elif op == 2:
            self._tell(self._card_tap.reset(answer))
        return answer, busy

    def _tap_kernel(self, entry: dict[str, Any]) -> None:
        self.kernel.append(entry)
        shown = tap.kernel_entry(entry)
        if shown is not None:
            self._tell(shown)

    def kernel_lines(self) -> str:
        """What is kept of the kernel's trace, as JSON lines. A masked one passes
        the second net as everything else does."""
        lines = "".join(json.dumps(entry) + "\n" for entry in self.kernel)
        return lines if self.trace == "full" else self._scrub.text(lines)

    def _tap_bank(self, frame: bytes, peer: Any) -> Any:
        self._tell(tap.message_entry(len(frame).to_bytes(2, "big") + frame, "to bank"))
        return self._tapped_handle(frame, peer)

    def _tap_answer(self, data: bytes) -> None:
        self._tell(tap.message_entry(data, "from bank"))


def _end_with_parent() -> None:
    """In the terminal's process: end when the emulator does, even if it is killed."""
    _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)


# Looked up before the fork: a child must not load libraries.
_PRCTL: Any = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000


@contextlib.asynccontextmanager
async def running(machine: Machine, start: bool = True) -> Any:
    """``async with running(machine):`` starts it (or leaves that to the body) and
    always stops it."""
    try:
        if start:
            await machine.start()
        yield machine
    finally:
        await machine.stop()
