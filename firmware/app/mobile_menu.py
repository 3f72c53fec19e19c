"""Mobile data: the SIM's PIN, the access point name, roaming."""

from firmware.app import dialogs, link_work, menu, text_entry
from firmware.app.link_work import Visit, busy
from firmware.hal.bearer import BearerError, SimPinNeeded
from firmware.hal.mobile import ASKS_PIN, MUTE, READY, MobileSettings, is_apn, is_pin
from firmware.services import link_settings, link_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.hal.mobile import SimStatus
    from firmware.services.link_settings import LinkSettings
    from firmware.services.link_supervisor import Way

MOST_PIN = 8
MOST_APN = 100
MOST_LOGIN = 64


async def pin(visit: Visit, way: "Way") -> None:
    """What the SIM wants; its PIN is asked for with the tries that are left, and never
    on the last one."""
    t, modem = visit.t, _modem(way)
    sim = await busy(t, "link.stage.asking", modem.sim())
    while sim.state == ASKS_PIN:
        if sim.tries == 1:
            await dialogs.message(t, "mobile.last_try")
            return
        if sim.tries is None:
            await dialogs.message(t, "mobile.asks_blind")
        else:
            await dialogs.message(t, "mobile.asks", {"left": sim.tries})
        typed = await dialogs.digits(t, "mobile.pin", MOST_PIN, menu.MENU_TIMEOUT_MS)
        if not is_pin(typed):
            await dialogs.message(t, "mobile.bad_pin")
            continue
        try:
            await busy(t, "link.stage.connecting", modem.enter_pin(typed))
        except SimPinNeeded:
            sim = await busy(t, "link.stage.asking", modem.sim())
            if sim.state == ASKS_PIN:
                left = "?" if sim.tries is None else sim.tries
                await t.sound("error")
                await dialogs.message(t, "mobile.wrong_pin", {"left": left})
            continue
        except BearerError as error:
            await link_work.failed(t, "mobile", error)
            return
        await _keep_pin(visit, way, typed)
        await dialogs.message(t, "mobile.opened")
        await visit.begin_anew(way)
        return
    await dialogs.message(t, _of_sim(sim))


def _of_sim(sim: "SimStatus") -> str:
    """Text key of a SIM that asks for no PIN."""
    if sim.state == READY:
        return "mobile.open"
    if sim.state == MUTE:
        return "error.modem"
    return link_words.problem("mobile", sim.state, 4)


async def _keep_pin(visit: Visit, way: "Way", typed: str) -> None:
    def change(settings: "LinkSettings") -> None:
        settings.of(way.name).pin = typed

    await visit.keep(change, way.name, "SIM opened")


async def apn(visit: Visit, way: "Way") -> None:
    """The access point name: the SIM's own, or typed."""
    t, modem = visit.t, _modem(way)
    now = modem.settings
    keys = ["mobile.apn_auto", "mobile.apn_hand"]
    marked = 1 if now.apn else 0
    chosen = await dialogs.menu(t, "mobile.apn", keys, menu.MENU_TIMEOUT_MS, marked)
    if chosen is None:
        return
    name = user = password = ""
    if chosen == 1:
        name = await text_entry.line(
            t, "mobile.apn", MOST_APN, text_entry.APN, text=now.apn, refuse=_refuse_apn
        )
        question = "mobile.login_question"
        if await dialogs.confirm(t, question, None, menu.MENU_TIMEOUT_MS):
            user = await text_entry.line(t, "mobile.user", MOST_LOGIN, text=now.user)
            password = await text_entry.line(t, "wifi.password", MOST_LOGIN, secret=True)
    await _set_up(visit, way, MobileSettings(name, user, password, now.roaming), "APN")


def _refuse_apn(typed: str) -> str:
    return "" if typed and is_apn(typed) else "mobile.bad_apn"


async def roaming(visit: Visit, way: "Way") -> None:
    """Whether a foreign network is used."""
    now = _modem(way).settings
    keys = ["mobile.roam_on", "mobile.roam_off"]
    marked = 0 if now.roaming else 1
    chosen = await dialogs.menu(visit.t, "mobile.roaming", keys, menu.MENU_TIMEOUT_MS, marked)
    if chosen is not None:
        settings = MobileSettings(now.apn, now.user, now.password, chosen == 0)
        await _set_up(visit, way, settings, "roaming " + ("on" if chosen == 0 else "off"))


async def _set_up(visit: Visit, way: "Way", settings: MobileSettings, what: str) -> None:
    kept: "list[str]" = []

    def change(all_of_them: link_settings.LinkSettings) -> None:
        one = all_of_them.of(way.name)
        one.mobile = settings
        kept.append(one.pin)

    await visit.keep(change, way.name, what)
    try:
        _modem(way).set_up(settings, kept[0])
    except ValueError:  # its carrier has no log-in
        await dialogs.message(visit.t, "mobile.bad_apn")
        return
    await visit.begin_anew(way)


def _modem(way: "Way") -> "Any":
    """The link's bearer, which is ``Mobile`` as well."""
    return way.bearer
