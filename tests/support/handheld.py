"""A whole handheld on virtual time: keys and cards in; screens, paper, ledger out.

The firmware that runs is the one that ships; below it stand the rack's chips,
the simulated disk and the test bank, all in one loop whose clock moves only
when nothing can run (tests/support/virtual_time.py).
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from typing import Any

import luma.core.device

from firmware import main
from firmware.buses.wire import Wire
from firmware.ui.tree import Screen
from firmware.ui.view import View
from host_tools import board_file
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.session import TlsServerSession
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.deck import Deck, load
from host_tools.emulator.rack import DEFAULT_TIME, Rack, load_board
from tests.support import journal_view
from tests.support.faulty_disk import FaultyDisk, PowerCut
from tests.support.power import Life

#: A moment after every test board's build, and the bank's time as well.
NOW = DEFAULT_TIME
BANK_HOST = "bank.test"
DECK: Deck = load()

#: "SCREEN in LANGUAGE: what did not fit", of every screen shown so far.
OVERFLOWS: list[str] = []


class WatchedView(View):
    """The firmware's view; what does not fit on the panel is a failure."""

    async def show(self, screen: Screen) -> None:
        await super().show(screen)
        OVERFLOWS.extend(f"{screen.name} in {self.language}: {item}" for item in self.overflow)


class _NoExit:
    """luma has every panel cleaned up at the end of the process, which would keep
    each handheld of a test run alive until then."""

    @staticmethod
    def register(hook: Callable[[], object]) -> None:
        """Forget it: a software panel has nothing to clean up."""


setattr(luma.core.device, "atexit", _NoExit)  # noqa: B010 - mypy knows no such attribute
setattr(main, "View", WatchedView)  # noqa: B010 - the only way to the display; mypy knows no re-export

#: Gives the fates of a disk's unsynced items, in order (FaultyDisk.reboot).
Survivors = Callable[[FaultyDisk], tuple[int, ...]]


def clock_us() -> int:
    """The running loop's virtual clock."""
    return int(asyncio.get_running_loop().time() * 1_000_000)


class BankEnd:
    """The bank's TLS session as the far end of the virtual modem's connection."""

    def __init__(self, session: TlsServerSession) -> None:
        self._session = session

    @property
    def closed(self) -> bool:
        return self._session.closed

    def feed(self, data: bytes) -> None:
        self._session.feed(data)

    def take(self) -> bytes:
        return self._session.take()

    def close(self) -> None:
        self._session.feed(b"")


class Handheld:
    """One virtual terminal with its bank. Make it inside ``virtual_time.run``."""

    _banks: dict[tuple[Any, ...], Any] = {}

    def __init__(
        self,
        board: str = "virtual",
        seed: int = 1,
        provisioned: bool = True,
        deck: Deck = DECK,
        **wishes: Any,
    ) -> None:
        table = load_board(board)
        self.started = asyncio.get_running_loop().time()
        self.deck = deck
        self.rack = Rack(clock_us, seed, table, NOW)
        self.disk = FaultyDisk(seed)
        draw = random.Random(seed)
        self.acquirer = InProcessAcquirer(deck, now=self.now, random=draw.randbytes)
        self.board = board_file.compiled(
            board_file.read(board_file.find(board)), "0.1.0", NOW - 86_400
        )
        self.rack.net.dial = self._dial
        OVERFLOWS.clear()
        self.screens: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.inserted = ""
        self._cards: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None
        self.life: Life | None = None
        #: A list asks for the kernel's trace and takes it, from the next boot on.
        self.traced: list[str] | None = None
        self.full_trace = False
        #: Devices made anew for each life, by kind, in place of the board's own.
        self.fitted: Callable[[Wire], dict[str, Any]] = lambda wire: {}
        self.disk.on_cut = self.changed.set
        self._handle = self.acquirer.bank.handle
        self.acquirer.bank.handle = self._tell_bank  # type: ignore[method-assign]
        wishes.setdefault("languages", ("en", "zh"))
        wishes.setdefault("host", BANK_HOST)
        if provisioned:
            self.provision(**wishes)

    def now(self) -> int:
        """The bank's Unix time, which follows the virtual clock."""
        return NOW + int(asyncio.get_running_loop().time() - self.started)

    def provision(self, **wishes: Any) -> None:
        """Put bundle and factory file on the disk, durably."""
        bundle, factory = self.acquirer.enrol(self.board["serial"], **wishes)
        self.put("bundle.cbor", bundle)
        self.put("factory.cbor", factory)

    def put(self, name: str, content: bytes) -> None:
        """Write a file below the driver, durably."""
        handle = self.disk.open(name, True)
        self.disk.write(handle, content)
        self.disk.fsync(handle)
        self.disk.close(handle)
        self.disk.fsync_folder()

    def _dial(self, host: str, port: int) -> BankEnd | None:
        return BankEnd(self.acquirer.connect()) if host == BANK_HOST else None

    # ---- power --------------------------------------------------------------------

    async def power_on(self, until: str = "idle") -> None:
        """Boot and wait for a screen ("" not to wait)."""
        assert self._task is None, "already on"
        self.screens.clear()
        self.life = life = Life(self.rack, self.disk, self.changed.set)

        def on_screen(tree: dict[str, Any]) -> None:
            if not life.over:
                self._on_screen(tree)

        given = {"files": life.files, **self.fitted(life.wire)}
        on_trace = None if self.traced is None else self.traced.extend
        serving = main.serve(self.board, life.wire, "", on_screen, given, on_trace, self.full_trace)
        self._task = life.start(serving)
        self._task.add_done_callback(lambda task: self.changed.set())
        if until:
            await self.until(until)

    async def power_off(self, survivors: Survivors | None = None) -> None:
        """Take the power away now, or clear up after a cut that struck (``cut``).

        Every task of the firmware ends without touching anything; connections
        break, keys are let go, the card loses its supply. What was unsynced meets
        its fate (the disk's own draw, or what ``survivors`` gives).
        """
        if self._task is None:
            return
        assert self.life is not None
        self._task = None
        await self.life.end()
        self.disk.dead = True
        self.rack.keys.let_go()
        self.rack.net.cut()
        with contextlib.suppress(ChipError):  # a broken slot
            self.rack.slot.transfer(4, b"")
        self.disk.reboot(survivors(self.disk) if survivors is not None else None)

    @property
    def cut(self) -> bool:
        """Whether a scheduled power cut has struck and nobody cleared up yet."""
        return self._task is not None and self.disk.dead

    def _tell_bank(self, frame: bytes, peer: Any) -> Any:
        """The bank's hand on a message: a cut before or after it books stops the
        terminal, never the bank."""
        self._mark("bank takes a message")
        actions = self._handle(frame, peer)
        self._mark("bank has committed")
        return actions

    def _mark(self, what: str) -> None:
        if not self.disk.dead:
            with contextlib.suppress(PowerCut):  # the wire raises it in the firmware
                self.disk.event(what)

    # ---- hands --------------------------------------------------------------------

    async def press(self, *keys: str) -> None:
        """Press keys one after another and wait until the last is up. PowerCut."""
        end = self.rack.keys.type(keys)
        await asyncio.sleep((end - clock_us()) / 1_000_000 + 0.05)
        self._powered()

    def insert(self, name: str) -> Any:
        """Put a card of the deck in; the same card keeps its state. Returns the chip."""
        if name not in self._cards:
            self._cards[name] = self.deck.cards[name].make_card()
        self.rack.slot.insert(self._cards[name])
        self.inserted = name
        return self._cards[name]

    def remove(self) -> None:
        """Take the card out."""
        self.rack.slot.remove()
        self.inserted = ""

    # ---- eyes ---------------------------------------------------------------------

    def _on_screen(self, tree: dict[str, Any]) -> None:
        self.screens.append(tree)
        self.changed.set()

    def _powered(self) -> None:
        if self.cut:
            raise PowerCut(self.disk.log[-1] if self.disk.log else "")

    @property
    def screen(self) -> dict[str, Any]:
        """The tree shown last."""
        return self.screens[-1] if self.screens else {"screen": "", "nodes": []}

    @property
    def text(self) -> str:
        """Every word on the screen, joined by " | "."""
        words: list[str] = []
        for node in self.screen["nodes"]:
            words += [str(item) for item in node.get("items") or []]
            if node.get("text"):
                words.append(str(node["text"]))
        return " | ".join(words)

    def keys_shown(self) -> set[str]:
        """Text keys on the screen."""
        return {str(node["key"]) for node in self.screen["nodes"] if node.get("key")}

    @property
    def paper(self) -> str:
        """Everything printed."""
        return str(self.rack.printer.text())

    async def until(self, *names: str, limit_s: float = 300.0) -> dict[str, Any]:
        """Wait for one of these screens; AssertionError names what is shown instead."""
        return await self.when(lambda tree: tree["screen"] in names, " or ".join(names), limit_s)

    async def when(
        self, good: Callable[[dict[str, Any]], bool], what: str, limit_s: float = 300.0
    ) -> dict[str, Any]:
        """Wait for a screen that is ``good``. PowerCut when a cut strikes."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_s
        while True:
            self._powered()
            assert not OVERFLOWS, OVERFLOWS
            if good(self.screen):
                return self.screen
            if self._task is not None and self._task.done():
                error = None if self._task.cancelled() else self._task.exception()
                raise AssertionError(f"the firmware ended, waiting for {what}: {error!r}")
            self.changed.clear()
            left = deadline - loop.time()
            if left <= 1e-6:  # the loop takes less than its clock resolution for nothing
                raise AssertionError(
                    f"waited for {what}, shown: {self.screen['screen']}: {self.text}"
                )
            try:
                await asyncio.wait_for(self.changed.wait(), left)
            except TimeoutError:
                continue

    # ---- the main job -------------------------------------------------------------

    async def pay(self, amount: str, card: str, *until: str) -> dict[str, Any]:
        """Key the amount, insert the card, key its PINs when asked, until one of
        these screens (default: the result)."""
        await self.press(*amount)
        await self.until("amount")
        await self.press("enter")
        if self.inserted != card:
            await self.until("present_card", *until)
            if self.screen["screen"] != "present_card":
                return self.screen
            self.insert(card)
        return await self.pins(list(self.deck.cards[card].typed), *(until or ("result",)))

    async def left_unknown(self) -> None:
        """Power on, a payment whose answer and reversals are lost (until the bank's
        rules are cleared), its slip, and idle again."""
        self.acquirer.rule("drop", mti="0200")
        self.acquirer.rule("drop", mti="0400", times=None)
        await self.power_on()
        await self.pay("1234", "no-cvm", "result")
        await self.when(lambda tree: "UNKNOWN" in self.paper, "the slip")
        await self.back_to_idle()

    async def pins(self, typed: list[str], *until: str) -> dict[str, Any]:
        """Answer every PIN prompt until one of the screens comes."""
        for _ in itertools.count():
            tree = await self.until("pin", *until)
            if tree["screen"] != "pin":
                return tree
            digits = typed.pop(0) if typed else ""
            before = len(self.screens)
            await self.press(*digits, "enter")
            await self.when(
                lambda _, n=before: any(one["screen"] != "pin" for one in self.screens[n:]),  # type: ignore[misc]
                "the PIN taken",
            )
        raise AssertionError("never")

    async def back_to_idle(self) -> None:
        """Go on pressing Enter, giving the card back, until the idle screen."""
        for _ in range(20):
            if self.screen["screen"] == "idle":
                return
            if self.screen["screen"] == "remove_card":
                self.remove()
                await self.until("idle")
                return
            if self.screen["screen"] in ("printing", "progress"):
                shown = self.screen
                await self.when(lambda tree, shown=shown: tree is not shown, "what follows")  # type: ignore[misc]
                continue
            await self.press("enter")
            await asyncio.sleep(1)
        raise AssertionError(f"no way back to idle from {self.screen['screen']}: {self.text}")

    def journal(self) -> list[tuple[str, dict[int, Any]]]:
        """(kind, body) of every record on the disk, in order."""
        return journal_view.read(self.disk)

    def records(self, stan: int) -> list[str]:
        """Kinds of the records about one STAN, in order."""
        return journal_view.of(self.disk, stan)

    def messages(self, *mtis: str, direction: str = "in") -> list[dict[str, Any]]:
        """The bank's log of messages of these kinds."""
        return [
            row
            for row in self.acquirer.ledger.messages(1000)
            if row["direction"] == direction and (not mtis or row["mti"] in mtis)
        ]

    def books(self) -> list[tuple[str, int, str]]:
        """(STAN, amount, state) of the bank's ledger."""
        return [
            (str(row["stan"]), int(row["amount"]), str(row["state"]))
            for row in self.acquirer.transactions()
        ]
