"""Bus: a card slot behind PC/SC (pcscd) through pyscard. Linux only.

The reader speaks the electrical protocol; with T=1 it also makes the blocks.
With T=0 it passes TPDUs, so that 61xx and 6Cxx reach the driver. Every call
runs in one thread for the reader: pcscd blocks while a card is busy, and a
call cannot be cancelled (its late result is dropped by ``aio.Worker``). A call
that does not end, of a daemon that hangs or of a card that asks for more time
without end, is given up in its time; so is each later one until it ends.
"""

from firmware import aio
from firmware.buses.card_slot import CardSlot
from firmware.buses.wire import BusError
from firmware.errors import Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: What the daemon answers by itself; two resets of a card; a card's command, as long as a
#: slot without a daemon waits for a card that asks for more time.
ANSWER_MS, RESET_MS, COMMAND_MS = 5000, 20000, 30000
#: pcscd looks for removal every 400 ms; a failed command waits for its next look.
LOOK_MS = 900


class PyscardMissing(BusError):
    """The Python package pyscard is not installed."""

    text_key = "error.reader"


class PcscdMissing(BusError):
    """The PC/SC daemon does not run, or this user may not talk to it."""

    text_key = "error.reader"


class PcscdSilent(BusError):
    """The PC/SC daemon, or the card behind it, does not answer in time."""

    text_key = "error.reader"


class ReaderNotFound(BusError):
    """No reader of that name is plugged in."""

    text_key = "error.reader"


class PcscSlot(CardSlot):
    """The first reader whose name contains ``name`` ("" takes the first of all)."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._worker = aio.Worker("pcsc")
        self._scard: "Any" = None
        self._context: "Any" = None
        self._reader = ""
        self._card: "Any" = None
        self._protocol = 0

    async def present(self) -> bool:
        """Whether a card is in. PyscardMissing, PcscdMissing, PcscdSilent, ReaderNotFound,
        BusError."""
        there: bool = await self._call(ANSWER_MS, self._present)
        return there

    async def power_on(self) -> "tuple[bytes, int]":
        """Cold reset; (ATR, protocol 0 or 1)."""
        answer: "tuple[bytes, int]" = await self._call(RESET_MS, self._power_on)
        return answer

    async def power_off(self) -> None:
        """Remove power; harmless without a card."""
        await self._call(ANSWER_MS, self._power_off)

    async def exchange(self, command: bytes) -> bytes:
        """One TPDU (T=0) or APDU (T=1). BusError when the card does not answer."""
        answer: bytes = await self._call(COMMAND_MS, self._exchange, command)
        return answer

    async def _call(self, limit_ms: int, function: "Callable[..., Any]", *args: "Any") -> "Any":
        try:
            return await aio.deadline(limit_ms, self._worker.call(function, *args), "PC/SC")
        except Timeout as error:
            raise PcscdSilent(str(error)) from None

    async def close(self) -> None:
        """Let go of card, daemon and thread. Never raises; a thread that is stuck ends
        with its call."""
        try:
            await self._call(ANSWER_MS, self._release)
        except PcscdSilent:
            self._worker.abandon()
            return
        except BusError:
            pass  # the daemon went away, and what it held for us with it
        self._worker.close()

    # Everything below runs in the worker's thread.

    def _api(self) -> "Any":
        if self._scard is None:
            try:
                from smartcard import scard
            except ImportError as error:
                raise PyscardMissing(
                    "pyscard is not installed (pip install 'opentill[pcsc]'): " + str(error)
                ) from error
            self._scard = scard
        return self._scard

    def _check(self, result: int, what: str) -> None:
        """Raise what a PC/SC result means; a dead context is dropped, to be made anew."""
        api = self._scard
        if result == api.SCARD_S_SUCCESS:
            return
        text = "PC/SC " + what + ": " + str(api.SCardGetErrorMessage(result))
        if result in (api.SCARD_E_NO_SERVICE, api.SCARD_E_SERVICE_STOPPED):
            self._context = None
            self._card = None
            raise PcscdMissing(text)
        if result == api.SCARD_E_INVALID_HANDLE:
            self._context = None
            self._card = None
        if result in (
            api.SCARD_E_UNKNOWN_READER,
            api.SCARD_E_READER_UNAVAILABLE,
            api.SCARD_E_NO_READERS_AVAILABLE,
        ):
            self._reader = ""
            self._card = None
            raise ReaderNotFound(text)
        raise BusError(text)

    def _open(self) -> "Any":
        api = self._api()
        if self._context is None:
            result, context = api.SCardEstablishContext(api.SCARD_SCOPE_SYSTEM)
            self._check(result, "context")
            self._context = context
            self._reader = ""
        if not self._reader:
            result, readers = api.SCardListReaders(self._context, [])
            self._check(result, "list of readers")
            for reader in readers:
                if self._name in reader:
                    self._reader = reader
                    break
            else:
                raise ReaderNotFound(
                    "no PC/SC reader is called '"
                    + self._name
                    + "'; there are: "
                    + (", ".join(readers) or "none")
                )
        return api

    def _present(self) -> bool:
        api = self._open()
        asked = [(self._reader, api.SCARD_STATE_UNAWARE)]
        result, states = api.SCardGetStatusChange(self._context, 0, asked)
        self._check(result, "status")
        return bool(states[0][1] & api.SCARD_STATE_PRESENT)

    def _power_on(self) -> "tuple[bytes, int]":
        api = self._open()
        self._power_off()
        both = api.SCARD_PROTOCOL_T0 | api.SCARD_PROTOCOL_T1
        result, card, protocol = api.SCardConnect(
            self._context, self._reader, api.SCARD_SHARE_EXCLUSIVE, both
        )
        self._check(result, "connect")
        self._card = card
        # The daemon may have powered the card when it came in: make the reset cold.
        result, protocol = api.SCardReconnect(
            card, api.SCARD_SHARE_EXCLUSIVE, both, api.SCARD_UNPOWER_CARD
        )
        self._check(result, "cold reset")
        result, _reader, _state, protocol, atr = api.SCardStatus(card)
        self._check(result, "ATR")
        self._protocol = 1 if protocol == api.SCARD_PROTOCOL_T1 else 0
        return bytes(atr), self._protocol

    def _power_off(self) -> None:
        card = self._card
        self._card = None
        if card is not None:
            api = self._scard
            result = api.SCardDisconnect(card, api.SCARD_UNPOWER_CARD)
            gone = (
                api.SCARD_W_REMOVED_CARD,
                api.SCARD_E_INVALID_HANDLE,
                api.SCARD_E_READER_UNAVAILABLE,
                api.SCARD_E_NO_SMARTCARD,
                api.SCARD_W_UNPOWERED_CARD,
            )
            if result not in gone:
                self._check(result, "disconnect")

    def _exchange(self, command: bytes) -> bytes:
        if self._card is None:
            raise BusError("PC/SC exchange: the card has no power")
        api = self._scard
        header = api.SCARD_PCI_T1 if self._protocol == 1 else api.SCARD_PCI_T0
        result, response = api.SCardTransmit(self._card, header, list(command))
        if result != api.SCARD_S_SUCCESS or len(response) < 2:
            self._await_removal()
        self._check(result, "exchange")
        if len(response) < 2:
            raise BusError("PC/SC exchange: answer of " + str(len(response)) + " bytes")
        return bytes(byte & 0xFF for byte in response)

    def _await_removal(self) -> None:
        """Let the daemon notice a card that left, so that ``present`` says the truth next."""
        api = self._scard
        asked = [(self._reader, api.SCARD_STATE_UNAWARE)]
        result, states = api.SCardGetStatusChange(self._context, 0, asked)
        if result == api.SCARD_S_SUCCESS and states[0][1] & api.SCARD_STATE_PRESENT:
            known = states[0][1] & ~api.SCARD_STATE_CHANGED
            api.SCardGetStatusChange(self._context, LOOK_MS, [(self._reader, known)])

    def _release(self) -> None:
        try:
            self._power_off()
        finally:
            if self._context is not None:
                self._scard.SCardReleaseContext(self._context)
                self._context = None
