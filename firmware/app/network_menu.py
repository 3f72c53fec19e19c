"""The network menu: which links there are, how they are, and what is set of them."""

from firmware.app import dialogs, menu
from firmware.app.link_work import Visit, busy
from firmware.errors import Cancelled, Timeout
from firmware.hal.bearer import DOWN
from firmware.hal.mobile import ASKS_PIN, Mobile
from firmware.hal.wifi import WifiNetworks
from firmware.ui import link_screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.services.link_settings import LinkSettings
    from firmware.services.link_supervisor import LinkSupervisor, Way


async def run(t: "Terminal") -> None:
    """Show the links until Cancel."""
    network = t.devices.network
    if network is None:
        await dialogs.message(t, "error.network")
    elif hasattr(network, "ways"):
        await _links(Visit(t, network))
    else:
        await _only(t, network)


async def _only(t: "Terminal", network: "Any") -> None:
    """The one link of a board that has no others: nothing can be set."""
    status = await network.status()
    state = "up" if status.up else "down"
    items = [("link.state", "link.state." + state), ("link.signal", str(status.bars) + "/4")]
    if status.address:
        items.append(("network.step.address", status.address))
    title = "network.kind." + status.kind
    await dialogs.scroll(
        t, len(items), menu.MENU_TIMEOUT_MS, lambda at: link_screens.link(title, items, at, False)
    )


async def _links(visit: Visit) -> None:
    ways = visit.network.ways
    while True:
        items = [_item(visit, way) for way in ways]
        chosen = await dialogs.pick(
            visit.t,
            len(items),
            menu.MENU_TIMEOUT_MS,
            lambda at, items=items: link_screens.networks("menu.network", items, at),  # type: ignore[misc]
        )
        if chosen is None:
            return
        try:
            await _link(visit, ways[chosen])
        except (Cancelled, Timeout):
            continue  # back to the list


def _item(visit: Visit, way: "Way") -> "tuple[str, int, bool, bool]":
    """Name, bars, no lock, whether it carries."""
    kind = way.bearer.kind
    name = visit.t.view.texts.get("network.kind." + kind)
    if len([one for one in visit.network.ways if one.bearer.kind == kind]) > 1:
        name += " " + way.name
    up = way.state != DOWN
    return name, way.bars if up else 0, False, up and way is visit.network.active


async def _link(visit: Visit, way: "Way") -> None:
    """A link's page, and from there its settings."""
    t = visit.t
    actions, title = _actions(visit, way), "network.kind." + way.bearer.kind
    while True:
        items = await busy(t, "link.stage.asking", _told(visit.network, way))
        pressed = await dialogs.scroll(
            t,
            len(items),
            menu.MENU_TIMEOUT_MS,
            lambda at, items=items: link_screens.link(title, items, at, bool(actions)),  # type: ignore[misc]
        )
        if pressed != "enter" or not actions:
            return
        chosen = await dialogs.menu(t, title, [key for key, _ in actions], menu.MENU_TIMEOUT_MS)
        if chosen is not None and await visit.may_change():
            try:
                await actions[chosen][1](visit, way)
            except (Cancelled, Timeout):
                continue  # back to the link's page


async def _told(network: "LinkSupervisor", way: "Way") -> "list[tuple[str, str]]":
    """(name, value) of everything known of a link."""
    bearer: "Any" = way.bearer
    status = await bearer.status()
    cause = way.cause or status.cause
    items = [("link.state", "link.state." + way.state)]
    if way.state != DOWN or way is network.active:
        items.append(("link.use", _word(way is network.active)))
    if cause and way.state != "up":
        items.append(("link.cause", "link.cause." + cause))
    if bearer.kind != "ethernet":
        items.append(("link.signal", str(status.bars) + "/4"))
    if status.operator:
        items.append(("link.carrier", status.operator[:16]))
    if status.address:
        items.append(("network.step.address", status.address))
    for server in status.dns[:2]:
        items.append(("link.dns", server))
    if isinstance(bearer, Mobile):
        sim = await bearer.sim()
        words = "link.sim." if sim.state in ("ready", "mute") else "link.cause."
        items.append(("link.sim", words + sim.state))
        if sim.state == ASKS_PIN and sim.tries is not None:
            items.append(("link.tries", str(sim.tries)))
        items.append(("link.apn", bearer.settings.apn[:20] or "link.auto"))
        items.append(("link.roaming", _word(bearer.settings.roaming)))
    for key, count in (("link.sent", status.sent), ("link.received", status.received)):
        if count >= 0:
            items.append((key, str(count // 1000) + " kB"))
        elif isinstance(bearer, Mobile):
            items.append((key, "link.uncounted"))
    items.append(("link.metered", _word(way.metered)))
    order = sorted(network.ways, key=lambda one: one.rank)
    items.append(("link.order", str(order.index(way) + 1)))
    return items


def _word(yes: bool) -> str:
    return "link.yes" if yes else "link.no"


def _actions(visit: Visit, way: "Way") -> "list[tuple[str, Any]]":
    """What can be set of a link: (text key, coroutine of the visit and the link)."""
    actions: "list[tuple[str, Any]]" = []
    bearer: "Any" = way.bearer
    if isinstance(bearer, WifiNetworks):
        from firmware.app import wifi_menu

        actions.append(("wifi.find", wifi_menu.find))
        if bearer.joins_hidden:
            actions.append(("wifi.hidden", wifi_menu.hidden))
        actions.append(("wifi.known", wifi_menu.known))
    if isinstance(bearer, Mobile):
        from firmware.app import mobile_menu

        actions.append(("mobile.pin", mobile_menu.pin))
        actions.append(("mobile.apn", mobile_menu.apn))
        actions.append(("mobile.roaming", mobile_menu.roaming))
    if bearer.takes_static:
        actions.append(("ip.how", _address))
    if len(visit.network.ways) > 1:
        actions.append(("link.first", _first))
        actions.append(("link.pay", _metered))
    if isinstance(bearer, Mobile):
        actions.append(("mobile.messages", _messages))
    return actions


async def _messages(visit: Visit, way: "Way") -> None:
    from firmware.app import sms_menu

    await sms_menu.messages(visit, way)


async def _address(visit: Visit, way: "Way") -> None:
    from firmware.app import ip_entry

    static = await ip_entry.ask(visit.t)
    await busy(visit.t, "link.stage.connecting", way.bearer.configure(static))
    await visit.note(way.name, "dhcp" if static is None else "static")
    await visit.begin_anew(way)


async def _first(visit: Visit, way: "Way") -> None:
    """Prefer this link; the others keep their order."""
    ways = sorted(visit.network.ways, key=lambda one: one.rank)
    names = [way.name] + [one.name for one in ways if one is not way]

    def change(settings: "LinkSettings") -> None:
        settings.order = names

    await visit.keep(change, way.name, "first")
    visit.network.prefer(names)
    await dialogs.message(visit.t, "link.kept")
    await visit.offer_test()


async def _metered(visit: Visit, way: "Way") -> None:
    """Whether this link costs by the byte: others that do not are better then."""
    now = 0 if way.metered else 1
    chosen = await dialogs.menu(
        visit.t, "link.pay", ["link.yes", "link.no"], menu.MENU_TIMEOUT_MS, now
    )
    if chosen is None:
        return

    def change(settings: "LinkSettings") -> None:
        settings.of(way.name).metered = chosen == 0

    await visit.keep(change, way.name, "metered" if chosen == 0 else "free")
    way.metered = chosen == 0
    visit.network.prefer([])
    await dialogs.message(visit.t, "link.kept")
    await visit.offer_test()
