"""Carries the kernel's steps to the devices that can answer them.

The kernel asks (``payment/emv/steps.py``); here stand the card channel, the
screen, the PIN pad and the vault. What happens once a request is journalled
is not here but in ``app/sale.py``'s protected section.
"""

from firmware import aio
from firmware.app import dialogs
from firmware.errors import TillError
from firmware.hal.card_reader import CardChannel, CardError, CardRemoved
from firmware.hal.pin_entry import PinCancelled, PinEntryError, PinHandle, PinTimeout
from firmware.hal.vault import VaultError
from firmware.payment.emv import steps
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.payment.emv.kernel import Kernel

PIN_TIMEOUT_MS = 30_000
CHOICE_TIMEOUT_MS = 30_000


class CardRun:
    """One card, one kernel, until it wants to go online or ends."""

    def __init__(
        self,
        terminal: "Terminal",
        kernel: "Kernel",
        channel: CardChannel,
        amount_text: str,
        retry: bool = False,
    ) -> None:
        self._t = terminal
        self._kernel = kernel
        self._channel = channel
        self._amount_text = amount_text
        #: The acquirer refused the PIN of the transaction before this one.
        self._retry = retry
        self.pin: "PinHandle | None" = None
        self.removed = False

    async def until_online(self) -> "Any":
        """Run to ``steps.GoOnline`` or ``steps.Outcome``; the Cancel key ends it."""
        cancel = dialogs.CancelWatch(self._t)
        try:
            step = self._kernel.start()
            while not isinstance(step, (steps.GoOnline, steps.Outcome)):
                if cancel.pressed:
                    step = self._kernel.abort("cancelled")
                    continue
                if isinstance(step, steps.SendApdu):
                    step = await self._apdu(step)
                    continue
                await cancel.pause()
                step = await self._ask(step)
                cancel.resume()
            return step
        finally:
            await cancel.stop()

    async def finish(self, step: "Any") -> "Any":
        """Run the card to its ``Outcome`` after the host answered; asks nobody."""
        while not isinstance(step, steps.Outcome):
            if isinstance(step, steps.SendApdu):
                step = await self._apdu(step)
            else:  # after going online the Books ask for nothing but the card
                step = self._kernel.abort("reader")
        return step

    def resume(self, answer: "Any") -> "Any":
        """Tell the kernel what the host said; its next step."""
        return self._kernel.resume(answer)

    def drop_pin(self) -> None:
        """Wipe the PIN, if one was entered."""
        if self.pin is not None:
            self._t.devices.vault.drop_pin(self.pin)
            self.pin = None

    async def _apdu(self, step: "steps.SendApdu") -> "Any":
        try:
            answer = await self._channel.transmit(step.command)
        except CardRemoved:
            self.removed = True
            return self._kernel.abort("card_removed")
        except CardError:
            return self._kernel.abort("reader")
        return self._kernel.resume(answer)

    async def _ask(self, step: "Any") -> "Any":
        if isinstance(step, steps.ChooseApplication):
            return self._kernel.resume(await self._choose(step))
        if isinstance(step, steps.ConfirmApplication):
            return self._kernel.resume(await self._confirm(step))
        if isinstance(step, steps.EnterPin):
            return await self._enter_pin(step)
        if isinstance(step, steps.VerifyPin):
            return await self._verify(step)
        raise TillError("the kernel asked for " + step.__class__.__name__)

    async def _choose(self, step: "steps.ChooseApplication") -> "int | None":
        labels = [candidate.name for candidate in step.candidates]
        return await dialogs.choose(self._t, "app.choose.title", labels, CHOICE_TIMEOUT_MS)

    async def _confirm(self, step: "steps.ConfirmApplication") -> bool:
        return await dialogs.confirm(
            self._t, "app.confirm", {"label": step.candidate.name}, CHOICE_TIMEOUT_MS
        )

    async def _enter_pin(self, step: "steps.EnterPin") -> "Any":
        """The PIN for the kernel; a card that leaves meanwhile ends the entry."""
        counts = aio.Queue(32)
        counts.put(0)

        async def draw() -> None:
            while True:
                count = await counts.get()
                await self._t.view.show(
                    screens.pin(
                        self._amount_text,
                        count,
                        step.tries_left,
                        step.last_try,
                        retry=step.retry or self._retry,
                        bypass=step.bypass_allowed,
                    )
                )

        self._t.tell_register("pin")
        drawing = aio.spawn("pin screen", draw())
        self.drop_pin()
        entry = self._t.devices.pin_entry.enter(
            counts.put, 4, 12, step.bypass_allowed, PIN_TIMEOUT_MS
        )
        try:
            name, handle = await dialogs.first(
                self._t, ("pin", entry), ("out", self._t.devices.card_reader.wait_removed())
            )
        except (PinCancelled, PinTimeout):
            return self._kernel.resume(("cancelled", None))
        except PinEntryError:
            return self._kernel.resume(("failed", None))
        except CardError:
            return self._kernel.abort("reader")
        finally:
            drawing.cancel()
            await drawing.done.wait()
            self._t.note_end(drawing)
        if name == "out":
            self.removed = True
            return self._kernel.abort("card_removed")
        await self._t.view.show(screens.progress("sale.stage.card"))
        if handle is None:
            return self._kernel.resume(("bypassed", None))
        self.pin = handle
        return self._kernel.resume(("entered", handle))

    async def _verify(self, step: "steps.VerifyPin") -> "Any":
        try:
            sw = await self._t.devices.vault.verify_pin(step.handle, self._channel, step.enciphered)
        except CardRemoved:
            self.removed = True
            return self._kernel.abort("card_removed")
        except (CardError, VaultError):
            return self._kernel.abort("reader")
        return self._kernel.resume(sw)
