"""From power-on to the idle screen: splash, self-test, recovery, provisioning.

Nothing here gives up silently: what fails is named on the screen and put into
``Terminal.blocked``, which every payment asks first.
"""

from firmware.app.terminal import SUPERVISOR, Terminal
from firmware.errors import TillError
from firmware.hal.files import StorageFull
from firmware.payment.journal import records
from firmware.services import provisioning, self_test
from firmware.services.counters import NAMES
from firmware.services.host_session import HostSession
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.aio import Task
    from firmware.services.provision import Provision
    from firmware.ui.view import View

#: Without these devices no payment is possible; a tamper switch is the board's choice.
NEEDED = (
    "keypad", "files", "entropy", "vault", "clock", "card_reader", "pin_entry", "network",
)  # fmt: skip
#: Which of the board's languages the splash speaks; the journal has the setting itself.
_LANGUAGE_FILE = "language"
#: As in services/link_settings.py, which is imported by terminals that have it only.
_LINKS_FILE = "links.cbor"
#: As in services/link_config.py: settings of a PC that a power cut interrupted.
_PUSHED_FILE = "config.new"


async def boot(devices: "Any", view: "View", board: "dict[str, Any]") -> Terminal:
    """Bring the terminal up. Raises only when not even the display works."""
    t = Terminal(devices, view, board)
    view.set_language(await _last_language(t))
    await view.show(screens.boot([]))
    await test_devices(t, self_test.AT_START)
    await _tamper(t)
    for result in t.results:
        if result.state == "fail" and result.kind in self_test.ESSENTIAL:
            t.blocked.append(result.text_key)
    _missing(t)
    await _recover(t)
    await _provision(t)
    await _settle(t)
    await _pushed(t)
    note_service(t)
    await keep_language(t)
    return t


async def _last_language(t: Terminal) -> str:
    """The language of the last life's screens, for what comes before the books are open."""
    language = str(t.board["languages"][0])
    try:
        if t.devices.files is not None:
            kept = bytes(await t.devices.files.read(_LANGUAGE_FILE, 0, 8))
            for known in t.board["languages"]:
                if kept == known.encode():
                    language = known
    except TillError:
        pass  # none was kept, or the self-test names the storage
    return language


async def keep_language(t: Terminal) -> None:
    """Let the next splash be in the language of today."""
    now = t.view.language
    try:
        if t.devices.files is not None and await _last_language(t) != now:
            await t.devices.files.replace(_LANGUAGE_FILE, now.encode())
    except TillError as error:
        t.note_failure("files", error)


async def test_devices(t: Terminal, kinds: "tuple[str, ...]" = self_test.KINDS) -> None:
    """Test each device of ``kinds`` afresh, its result on the screen as it comes. What is in
    ``Terminal.results`` of other things stays."""
    lines: "list[tuple[str, str]]" = []

    async def show(result: self_test.Result) -> None:
        if result.state != "absent":
            lines.append((result.kind, result.state))
            await t.view.show(screens.boot(lines))

    others = [result for result in t.results if result.kind not in self_test.KINDS]
    t.results = await self_test.run(t.devices, int(t.board["built"]), show, kinds) + others


def note_service(t: Terminal) -> None:
    """What is due for service stands on the self-test's page and slip."""
    t.results = [result for result in t.results if result.kind != "service"]
    due = t.counters.due()
    if due:
        told = ", ".join([NAMES[one.number] + " " + str(one.used) for one in due])
        t.results.append(self_test.Result("service", "warn", due[0].text_key, told))


def _missing(t: Terminal) -> None:
    """What a payment needs and this terminal has not, or could not start, blocks."""
    for kind, driver, error in t.devices.failures:
        if kind not in self_test.AT_START:  # these are in the results already
            detail = driver + ": " + str(error)
            t.results.append(self_test.Result(kind, "fail", "error." + kind, detail))
    for kind in NEEDED:
        key = "error." + kind
        if getattr(t.devices, kind) is None and key not in t.blocked:
            t.blocked.append(key)


async def _tamper(t: Terminal) -> None:
    """An open case erases the keys. A vault that erased itself in an earlier life
    begins a new one only with a new transport key (docs/provisioning.md)."""
    (vault,) = [result for result in t.results if result.kind == "vault"]
    opened = [r for r in t.results if r.kind == "tamper" and r.text_key == "error.tamper"]
    try:
        if opened:
            if t.devices.vault is not None:
                await t.devices.vault.erase()
        elif vault.text_key == "error.tamper" and t.devices.files is not None:
            await provisioning.factory_install(
                t.devices.files, t.devices.vault, str(t.board["serial"])
            )
            await t.devices.vault.status()  # raises while it is still erased
            vault.state, vault.text_key, vault.detail = "ok", "", ""
    except TillError as error:
        vault.state, vault.text_key, vault.detail = "fail", error.text_key, str(error)


def _storage_works(t: Terminal) -> bool:
    """Whether the books can be read. On a full disk they can: what is owed is named,
    and sent as far as its records still fit."""
    for result in t.results:
        broken = result.state in ("fail", "absent") and result.text_key != StorageFull.text_key
        if broken and result.kind in ("files", "vault", "entropy"):
            return False
    return True


def _block(t: Terminal, kind: str, error: TillError) -> None:
    """No payments for this reason, and a line on the self-test page."""
    if error.text_key not in t.blocked:
        t.blocked.append(error.text_key)
    t.results.append(self_test.Result(kind, "fail", error.text_key, str(error)))


async def _recover(t: Terminal) -> None:
    """Fold the journal; owe what it owes; name what is damaged."""
    if not _storage_works(t):
        return
    try:
        report = await t.journal.open()
        t.counters.begin()
        language = t.journal.state.settings.get("language")
        if language:
            t.view.set_language(str(language))
        codes = [notice.code for notice in report.notices]
        body: "dict[int, Any]" = {records.K_VERSION: str(t.board["version"])}
        if codes:
            body[records.K_NOTICES] = codes[:16]
        if report.trading == "ok":
            # What was found must outlive the next cut: it is found only once.
            await t.journal.append(records.BOOT, body, sync=bool(codes))
            t.counters.started = True
        elif report.trading == "confirm":
            restored = t.journal.state.restored
            t.blocked.append("error.journal_restored" if restored else "error.journal_confirm")
        else:
            t.blocked.append("error.journal_blocked")
    except TillError as error:
        _block(t, "journal", error)


async def _provision(t: Terminal) -> None:
    """Read who this terminal is. Without a bundle it says so and takes no payment."""
    if not _storage_works(t):
        return
    devices = t.devices
    try:
        await provisioning.factory_install(devices.files, devices.vault, str(t.board["serial"]))
        provision = await provisioning.load(devices.files, t.board["trust"], str(t.board["serial"]))
        foreign = _owed_by_another(t, provision)
        if not foreign:
            await provisioning.install(devices.vault, provision)
    except TillError as error:
        _block(t, "provisioning", error)
        return
    t.provision = provision
    t.test = provision.test
    if not t.journal.state.settings.get("language"):
        t.view.set_language(provision.terminal.languages[0])
    if foreign:
        t.blocked.append("error.bundle_debt")
        t.results.append(self_test.Result("provisioning", "fail", "error.bundle_debt", foreign))
    elif devices.network is not None:
        t.session = HostSession(devices, t.journal, provision)


def _owed_by_another(t: Terminal, provision: "Provision") -> str:
    """Why this bundle has to wait: a debt or script results stand under another
    terminal's or merchant's id, which its keys could not settle. "" if it need not."""
    state = t.journal.state
    requests = [owed.request for owed in state.scripts_owed]
    if state.debt is not None:
        requests.append(state.debt.request)
    ours = provision.merchant
    for body in requests:
        terminal_id, merchant_id = ours.ids_of(body)
        if terminal_id != ours.terminal_id or merchant_id != ours.merchant_id:
            return f"owed by terminal {terminal_id} of merchant {merchant_id}"
    return ""


async def links(t: Terminal) -> "list[Task]":
    """Give several links what was set of them in earlier lives. What runs on beside the
    app."""
    if not hasattr(t.devices.network, "ways") or t.devices.files is None:
        return []  # one link, which the board file alone describes
    from firmware.app import link_log

    background = [link_log.begin(t)]
    try:
        await t.devices.files.size(_LINKS_FILE)
    except TillError:
        if "error.tamper" not in t.blocked:
            return background  # nothing was set
    from firmware.services import link_settings

    tasks, lost = await link_settings.begin(t.devices)
    if lost is not None:
        t.results.append(self_test.Result("links", "fail", lost.text_key, str(lost)))
    return background + tasks


async def _pushed(t: Terminal) -> None:
    """Finish a PC's push of settings that a power cut interrupted."""
    if t.devices.files is None or not t.may_journal or t.journal.broken:
        return
    try:
        await t.devices.files.size(_PUSHED_FILE)
    except TillError:
        return  # there is none, or the self-test names the storage
    from firmware.app import pc_config

    try:
        await pc_config.config(t, lambda key: ()).finish()
    except TillError as error:
        t.note_failure("files", error)


async def _settle(t: Terminal) -> None:
    """Bring journal, vault and bundle to terms: working keys that only one of them
    knows are forgotten, a newer bundle ends a lockout."""
    if t.session is None or t.provision is None or t.journal.trading == "blocked":
        return
    try:
        await t.session.agree_on_keys()
        issued = t.provision.issued
        before = t.journal.state.settings.get("bundle")
        if before is not None and issued <= before:
            return
        # Lockout first: a power cut between the two repeats this, harmlessly.
        if t.journal.state.failures.get(SUPERVISOR, 0):
            body: "dict[int, Any]" = {records.K_WHO: SUPERVISOR, records.K_FAILURES: 0}
            await t.journal.append(records.LOCKOUT, body)
        body = {records.K_NAME: "bundle", records.K_VALUE: issued}
        await t.journal.append(records.SETTING, body)
    except TillError as error:
        _block(t, "journal", error)
