"""The menu: what a merchant does between payments."""

from firmware.app import boot, dialogs, owed, printing
from firmware.app.terminal import SUPERVISOR
from firmware.errors import TillError
from firmware.payment.journal import records
from firmware.services import calendar, slip_data
from firmware.text.texts import LANGUAGES
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal

MENU_TIMEOUT_MS = 60_000
#: Wrong supervisor codes in a row before every code is refused; the count is
#: journalled, so a restart does not help. A new provisioning bundle does.
MOST_FAILURES = 5

#: Devices that block payments and are not needed before one: with them working again
#: payments go on. What storage or keys kept from booting only a restart makes up for.
LATE = ("card_reader", "clock")

ITEMS = (
    "menu.reprint",
    "menu.sign_in",
    "menu.echo",
    "menu.language",
    "menu.self_test",
    "menu.sign_out",
    "menu.release",
    "menu.about",
    "menu.readers",
    "menu.counters",
    "menu.network",
    "menu.pc",
)


async def run(t: "Terminal") -> None:
    """Show the menu until an item was done or Cancel was pressed."""
    chosen = await dialogs.menu(t, "menu.title", list(ITEMS), MENU_TIMEOUT_MS)
    if chosen is None:
        return
    await _ACTIONS[ITEMS[chosen]](t)


async def feed(t: "Terminal") -> None:
    """The paper feed key."""
    await printing.feed(t)


async def _reprint(t: "Terminal") -> None:
    await owed.reprint(t)


async def _sign_in(t: "Terminal") -> None:
    if await _no_session(t):
        return
    assert t.session is not None
    await t.view.show(screens.progress("sale.stage.signing_in"))
    async with t.session.lock:
        await t.session.sign_in()
    if "error.clock_wrong" in t.blocked:
        if await t.now() < int(t.board["built"]):  # the acquirer's time has no year to trust
            await dialogs.message(t, "clock.far_off")
            return
        t.blocked.remove("error.clock_wrong")
    await dialogs.message(t, "network.signed_in", {"batch": calendar.digits(t.session.batch, 6)})


async def _sign_out(t: "Terminal") -> None:
    if await _no_session(t):
        return
    assert t.session is not None
    await t.view.show(screens.progress("sale.stage.connecting"))
    await t.keep_counters()
    async with t.session.lock:
        await t.session.sign_out()
    await dialogs.message(t, "network.signed_out")


async def network_test(t: "Terminal") -> None:
    """The way to the bank, step by step."""
    if await _no_session(t):
        return
    assert t.session is not None
    from firmware.services import network_test

    await t.view.show(screens.progress("sale.stage.connecting"))
    async with t.session.lock:
        lines, error = await network_test.run(t.devices.network, t.session)
    if error is not None:
        await dialogs.failure(t, error)
    await dialogs.lines(t, "menu.echo", lines, MENU_TIMEOUT_MS)


async def _no_session(t: "Terminal") -> bool:
    """Say why there is no session, if there is none."""
    if t.session is not None:
        return False
    await dialogs.message(t, t.blocked[0] if t.blocked else "error.not_provisioned")
    return True


async def _language(t: "Terminal") -> None:
    languages = t.provision.terminal.languages if t.provision is not None else ["en", "zh"]
    own = dict(LANGUAGES)
    names = [own[code] for code in languages if code in own]
    chosen = await dialogs.choose(t, "menu.language", names, MENU_TIMEOUT_MS)
    if chosen is None:
        return
    t.view.set_language(languages[chosen])
    await boot.keep_language(t)
    if t.may_journal:
        await t.journal.append(
            records.SETTING,
            {records.K_NAME: "language", records.K_VALUE: languages[chosen]},
        )


async def _self_test(t: "Terminal") -> None:
    found = {r.kind: r.text_key for r in t.results}
    await boot.test_devices(t)
    boot.note_service(t)
    for result in t.results:
        if result.state == "ok" and result.kind in LATE and found[result.kind] in t.blocked:
            t.blocked.remove(found[result.kind])
    lines = [(r.kind, r.state) for r in t.results if r.state != "absent"]
    printer = t.devices.printer is not None
    pressed = await dialogs.scroll(
        t, len(lines), MENU_TIMEOUT_MS, lambda first: screens.self_test(lines, first, printer)
    )
    if pressed != "enter" or not printer:
        return
    data = {
        "results": [(r.kind, r.state, r.detail) for r in t.results],
        "serial": t.board["serial"],
    }
    data["version"] = t.board["version"]
    await printing.slip(t, "self_test", data)


async def _about(t: "Terminal") -> None:
    items = [("about.version", str(t.board["version"])), ("about.serial", str(t.board["serial"]))]
    items.append(("about.board", str(t.board["name"])))
    if t.provision is not None:
        items.append(("about.merchant", t.provision.merchant.merchant_id))
        items.append(("about.terminal", t.provision.merchant.terminal_id))
        items.append(("about.batch", calendar.digits(t.journal.state.batch, 6)))
    try:
        slots = await t.devices.vault.status()
    except TillError:  # the vault is erased: the notices say so
        slots = {}
    for name in sorted(slots):
        items.append((name, slots[name].kcv + (" TEST" if slots[name].test else "")))
    await dialogs.lines(t, "menu.about", items, MENU_TIMEOUT_MS)


async def _network(t: "Terminal") -> None:
    # Leaves first, as main does: an import inside an import holds the stack of both.
    for name in (
        "firmware.ui.multi_tap", "firmware.ui.link_screens", "firmware.hal.mobile",
        "firmware.services.link_settings", "firmware.app.text_entry", "firmware.app.link_work",
        "firmware.app.ip_entry",
    ):  # fmt: skip
        __import__(name)
    from firmware.app import network_menu

    await network_menu.run(t)


async def _pc(t: "Terminal") -> None:
    for name in ("firmware.ui.pc_screens", "firmware.services.pair_window"):
        __import__(name)
    from firmware.app import pc_menu

    await pc_menu.run(t)


async def _readers(t: "Terminal") -> None:
    from firmware.app import reader_test

    await reader_test.run(t)


async def _counters(t: "Terminal") -> None:
    from firmware.app import upkeep

    await upkeep.run(t)


async def supervisor(t: "Terminal") -> bool:
    """Ask for the supervisor's code. Failures are counted across restarts."""
    assert t.provision is not None
    failures = t.journal.state.failures.get(SUPERVISOR, 0)
    if failures >= MOST_FAILURES:
        await dialogs.message(t, "supervisor.locked")
        return False
    typed = await dialogs.digits(t, "supervisor.code", 12, MENU_TIMEOUT_MS)
    # Counted before the comparison: cutting the power does not buy a guess.
    await t.journal.append(
        records.LOCKOUT, {records.K_WHO: SUPERVISOR, records.K_FAILURES: failures + 1}
    )
    stored = t.provision.terminal.supervisor_password
    if not await t.devices.vault.check_password(stored, typed.encode()):
        await t.sound("error")
        await dialogs.message(t, "supervisor.wrong", {"left": MOST_FAILURES - failures - 1})
        return False
    await t.journal.append(records.LOCKOUT, {records.K_WHO: SUPERVISOR, records.K_FAILURES: 0})
    return True


async def _release(t: "Terminal") -> None:
    """What only a supervisor may do: confirm a damaged or restored journal, release a debt or
    script results that the acquirer does not take, give up slips that no printer
    prints."""
    if "error.bundle_debt" not in t.blocked and await _no_session(t):
        return
    for key, slip in (("error.journal_confirm", "damage"), ("error.journal_restored", "restored")):
        if key not in t.blocked:
            continue
        if await supervisor(t):
            await t.journal.confirm_damage(SUPERVISOR, await _values(t, slip, None))
            t.blocked.remove(key)
            await owed.slip_of(t, t.journal.sequence)
        return
    request = _releasable(t)
    if request is None:
        await _give_up_slips(t)
        return
    if not await supervisor(t):
        return
    debt = t.journal.state.debt
    question = "release.confirm" if debt is not None else "release.confirm_scripts"
    fields = {"amount": t.owed_text(request)}
    if not await dialogs.confirm(t, question, fields, MENU_TIMEOUT_MS):
        return
    if t.session is None:  # held for its debt: nobody else is at it
        await _released(t, request)
        return
    await t.view.show(screens.progress("sale.stage.connecting"))
    async with t.session.lock:
        await _released(t, request)


def _releasable(t: "Terminal") -> "dict[int, Any] | None":
    """The request of the debt, else of the oldest script results owed."""
    state = t.journal.state
    if state.debt is not None:
        return state.debt.request
    return state.scripts_owed[0].request if state.scripts_owed else None


async def _released(t: "Terminal", request: "dict[int, Any]") -> None:
    """Journal the release with its slip's values, then print that."""
    if _releasable(t) is not request:  # the background task was quicker
        await dialogs.message(t, "release.none")
        return
    debt = t.journal.state.debt
    receipt = await _values(t, "release" if debt is not None else "release_scripts", request)
    body: "dict[int, Any]" = {
        records.K_STAN: request[records.K_STAN],
        records.K_WHO: SUPERVISOR,
        records.K_RECEIPT: receipt,
    }
    if debt is not None:
        body[records.K_REASON] = receipt["reason"] = debt.reason
    await owed.slip_of(t, await t.journal.append(records.RELEASED, body))
    if "error.bundle_debt" in t.blocked:
        await dialogs.message(t, "release.restart")


async def _give_up_slips(t: "Terminal") -> None:
    """So many slips are owed that payments wait, and the printer stays broken: the
    merchant does without them. Their values stay in the journal."""
    owing = owed.paper(t)
    if t.session is None or not t.session.prints_full:
        await dialogs.message(t, "release.none")
        return
    if not await supervisor(t):
        return
    if not await dialogs.confirm(t, "release.slips", {"count": len(owing)}, MENU_TIMEOUT_MS):
        return
    note = {records.K_CODE: "slips_given_up", records.K_DETAIL: SUPERVISOR + ": " + str(len(owing))}
    await t.journal.append(records.NOTICE, note, sync=False)
    for one in owing:
        await printing.give_up(t, one, one is owing[-1])


async def _values(t: "Terminal", slip: str, request: "dict[int, Any] | None") -> "dict[str, Any]":
    assert t.provision is not None
    emulated = bool(t.devices.capabilities.emulated)
    return slip_data.supervised(t.provision, emulated, slip, SUPERVISOR, await t.moment(), request)


_ACTIONS = {
    "menu.reprint": _reprint,
    "menu.sign_in": _sign_in,
    "menu.echo": network_test,
    "menu.language": _language,
    "menu.self_test": _self_test,
    "menu.sign_out": _sign_out,
    "menu.release": _release,
    "menu.about": _about,
    "menu.network": _network,
    "menu.readers": _readers,
    "menu.counters": _counters,
    "menu.pc": _pc,
}
