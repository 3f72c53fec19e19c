"""What the pages of the network menu share: who may change links, how a wait is shown,
how settings are kept, and what came of a change."""

from firmware import aio
from firmware.app import dialogs, menu
from firmware.app.terminal import SUPERVISOR
from firmware.errors import Cancelled, TillError
from firmware.hal.bearer import DOWN, UP
from firmware.payment.journal import records
from firmware.services import link_settings, link_words
from firmware.ui import link_screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.services.link_settings import LinkSettings
    from firmware.services.link_supervisor import LinkSupervisor, Way

#: A changed link has so long to come up before the merchant may go.
SETTLE_MS = 90_000
LOOK_MS = 500


class Visit:
    """One stay in the network menu: a supervisor's code counts for all of it."""

    def __init__(self, t: "Terminal", network: "LinkSupervisor") -> None:
        self.t = t
        self.network = network
        self._granted = False

    async def may_change(self) -> bool:
        """Whether links may be changed. Without a bundle there is no code to ask for,
        and no key that a link could endanger."""
        t = self.t
        if t.devices.files is None or t.devices.vault is None:
            await dialogs.message(t, "error.storage")  # nothing could be kept
            return False
        if not self._granted:
            self._granted = t.provision is None or await menu.supervisor(t)
        return self._granted

    async def keep(self, change: "Callable[[LinkSettings], None]", link: str, what: str) -> None:
        """Change what is kept, and journal that it was done, without any of it. What was
        lost before is made anew. TillError when it cannot be kept."""
        t = self.t
        try:
            settings = await link_settings.load(t.devices.files, t.devices.vault)
        except link_settings.LinkSettingsLost:
            settings = link_settings.LinkSettings()
        change(settings)
        await link_settings.save(t.devices.files, t.devices.vault, settings)
        await self.note(link, what)

    async def note(self, link: str, what: str) -> None:
        """Journal that a link was changed."""
        if not self.t.may_journal:
            return
        detail = SUPERVISOR + ": " + link + " " + what
        body = {records.K_CODE: "link_changed", records.K_DETAIL: detail}
        await self.t.journal.append(records.NOTICE, body, sync=False)

    async def begin_anew(self, way: "Way") -> None:
        """Use a link's new settings, say what came of them, offer the line test."""
        self.network.again(way)
        active = self.network.active
        if not way.warm and way is not active and active.state != DOWN:
            await dialogs.message(self.t, "link.kept")  # it rests until it is needed
            await self.offer_test()
            return
        try:
            key = await busy(self.t, "link.stage.connecting", _settled(way), SETTLE_MS)
        except Cancelled:
            return  # it goes on without being watched
        await dialogs.message(self.t, key or "link.trying")
        await self.offer_test()

    async def offer_test(self) -> None:
        """The line test, for who wants it."""
        t = self.t
        if t.session is not None and await dialogs.confirm(
            t, "link.test_question", None, menu.MENU_TIMEOUT_MS
        ):
            await menu.network_test(t)


async def busy(
    t: "Terminal", stage_key: str, act: "Coroutine[Any, Any, Any]", timeout_ms: int = 0
) -> "Any":
    """The result of ``act``, with its seconds on the screen; None after ``timeout_ms``
    (0: it is bounded itself). Cancelled when Cancel is pressed."""
    began = aio.ticks_ms()
    work = aio.spawn("link work", act)
    try:
        while not work.done.is_set():
            spent = aio.elapsed_ms(began)
            if timeout_ms and spent >= timeout_ms:
                return None
            await t.view.show(link_screens.working(stage_key, spent // 1000))
            name, value = await aio.first(
                ("done", work.done.wait()), ("key", t.devices.keypad.read()), timeout_ms=1000
            )
            if name == "key" and value == "cancel":
                raise Cancelled(stage_key)
    finally:
        work.cancel()
        await work.done.wait()
    return await work.join()


async def _settled(way: "Way") -> str:
    """Text key of what came of a link that begins anew."""
    while True:
        if way.state == UP or (way.state != DOWN and not way.cause):
            weak = way.bars <= 1 and way.bearer.kind != "ethernet"
            return "error.weak_signal" if weak else "link.works"
        if way.cause not in ("", "stopped"):
            return link_words.problem(way.bearer.kind, way.cause, way.bars)
        await aio.sleep_ms(LOOK_MS)


async def failed(t: "Terminal", kind: str, error: TillError) -> None:
    """Tell what kept a link from being changed, in the words of its kind."""
    cause = getattr(error, "cause", "")
    key = link_words.problem(kind, cause, 4)
    if key == "error.network_link":
        key = error.text_key
    await t.lamps("error")
    await t.sound("error")
    await dialogs.message(t, key, {"detail": str(error)[:60], "code": ""})
