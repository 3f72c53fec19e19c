"""Wi-Fi: find a network, join it, forget it."""

from firmware.app import dialogs, ip_entry, link_work, menu, text_entry
from firmware.app.link_work import Visit, busy
from firmware.hal.bearer import BearerError, PasswordRefused
from firmware.hal.wifi import (
    OPEN,
    OTHER,
    WPA2_WPA3,
    WPA3,
    KnownNetwork,
    check_join,
    ssid_name,
)
from firmware.ui import link_screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.services.link_settings import LinkSettings
    from firmware.services.link_supervisor import Way

SCAN_MS = 10_000
JOIN_MS = 45_000
#: Networks in the list.
MOST = 32
#: A shared key's longest passphrase; the 64 digits of a raw key nobody types.
MOST_PASSWORD = 63
_PROTECTIONS = (("wifi.wpa2", WPA2_WPA3), ("wifi.wpa3", WPA3), ("wifi.open", OPEN))


async def find(visit: Visit, way: "Way") -> None:
    """What is in the air; one of it is joined, or forgotten."""
    t, bearer = visit.t, _networks(way)
    try:
        found = await busy(t, "link.stage.searching", bearer.scan(SCAN_MS))
    except BearerError as error:
        await link_work.failed(t, "wifi", error)
        return
    found = found[:MOST]
    if not found:
        await dialogs.message(t, "wifi.none")
        return
    items = [(one.name, one.bars, one.security != OPEN, one.active) for one in found]
    chosen = await dialogs.pick(
        t,
        len(items),
        menu.MENU_TIMEOUT_MS,
        lambda at: link_screens.networks("wifi.find", items, at),
    )
    if chosen is None:
        return
    one = found[chosen]
    if one.known:
        await _of_known(visit, way, one.ssid, one.security)
    elif one.security == OTHER:
        await dialogs.message(t, "wifi.unsupported")
    else:
        await _join(visit, way, one.ssid, one.security, False)


async def hidden(visit: Visit, way: "Way") -> None:
    """A network that hides its name."""

    def refuse(typed: str) -> str:
        return "" if 1 <= len(typed.encode()) <= 32 else "wifi.bad_name"

    t = visit.t
    name = await text_entry.line(t, "wifi.name", 32, refuse=refuse)
    keys = [key for key, _ in _PROTECTIONS]
    chosen = await dialogs.menu(t, "wifi.protection", keys, menu.MENU_TIMEOUT_MS)
    if chosen is not None:
        await _join(visit, way, name.encode(), _PROTECTIONS[chosen][1], True)


async def known(visit: Visit, way: "Way") -> None:
    """The networks that were joined."""
    t = visit.t
    try:
        names = await busy(t, "link.stage.asking", _networks(way).known())
    except BearerError as error:
        await link_work.failed(t, "wifi", error)
        return
    if not names:
        await dialogs.message(t, "wifi.none")
        return
    items = [(ssid_name(ssid), -1, False, False) for ssid in names[:MOST]]
    chosen = await dialogs.pick(
        t,
        len(items),
        menu.MENU_TIMEOUT_MS,
        lambda at: link_screens.networks("wifi.known", items, at),
    )
    if chosen is not None:
        await _of_known(visit, way, names[chosen], WPA2_WPA3)


async def _of_known(visit: Visit, way: "Way", ssid: bytes, security: str) -> None:
    chosen = await dialogs.menu(
        visit.t, "wifi.known", ["wifi.again", "wifi.forget"], menu.MENU_TIMEOUT_MS
    )
    if chosen == 0 and security == OTHER:
        await dialogs.message(visit.t, "wifi.unsupported")
    elif chosen == 0:
        await _join(visit, way, ssid, security, False)
    elif chosen == 1:
        await _forget(visit, way, ssid)


async def _forget(visit: Visit, way: "Way", ssid: bytes) -> None:
    t, bearer = visit.t, _networks(way)
    if not await dialogs.confirm(t, "wifi.forget_question", None, menu.MENU_TIMEOUT_MS):
        return
    try:
        gone = await busy(t, "link.stage.asking", bearer.forget(ssid))
    except BearerError as error:
        await link_work.failed(t, "wifi", error)
        return
    if not gone:
        await dialogs.message(t, "wifi.board")
        return
    if bearer.keeps:
        await visit.note(way.name, "network forgotten")
    else:
        await visit.keep(_remember(way.name, None), way.name, "network forgotten")
    visit.network.again(way)
    await dialogs.message(t, "wifi.forgotten")


async def _join(visit: Visit, way: "Way", ssid: bytes, security: str, hides: bool) -> None:
    """Ask for what it takes, and join; a password that is refused is asked for again."""
    t, bearer = visit.t, _networks(way)

    def refuse(typed: str) -> str:
        try:
            check_join(ssid, security, typed)
        except ValueError:
            return "wifi.bad_key" if security == WPA3 else "wifi.short"
        return ""

    if security == OPEN and not await dialogs.confirm(
        t, "wifi.open_question", None, menu.MENU_TIMEOUT_MS
    ):
        return
    asked, static = not bearer.joins_static, None
    while True:
        password = ""
        if security != OPEN:
            password = await text_entry.line(
                t, "wifi.password", MOST_PASSWORD, secret=True, refuse=refuse
            )
        if not asked:
            static = await ip_entry.ask(t)
            asked = True
        joining = bearer.join(ssid, security, password, JOIN_MS, hides, static)
        joined = False
        try:
            await busy(t, "link.stage.connecting", joining)
            joined = True
            break
        except PasswordRefused as error:
            await link_work.failed(t, "wifi", error)
        except BearerError as error:
            await link_work.failed(t, "wifi", error)
            return
        finally:
            if not joined:
                visit.network.again(way)  # back to the network of before
    if bearer.keeps:
        await visit.note(way.name, "network joined")
    else:
        network = KnownNetwork(ssid, security, password)
        await visit.keep(_remember(way.name, network), way.name, "network joined")
    await visit.begin_anew(way)


def _remember(link: str, network: "KnownNetwork | None") -> "Any":
    def change(settings: "LinkSettings") -> None:
        settings.of(link).network = network

    return change


def _networks(way: "Way") -> "Any":
    """The link's bearer, which is ``WifiNetworks`` as well."""
    return way.bearer
