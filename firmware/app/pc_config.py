"""The settings that a paired PC may read and push: language, reminders, links."""

from firmware.app import boot
from firmware.app.terminal import Terminal
from firmware.services.counters import LIMITS, REMIND
from firmware.services.link_config import Group, LinkConfig
from firmware.text.texts import LANGUAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.services.link_config import RolesOf
    from firmware.services.link_settings import LinkSettings

_LANGUAGE = "language"
_ORDER, _METERED = "link.order", "metered."
#: Reminders: most of a setting's unit.
_MOST_LIMIT = 100_000_000
#: Names of links that a SETTING record has room for.
_MOST_LINK = 16


class TerminalSettings(Group):
    """The language, and after how much wear a part is due. The journal alone keeps them."""

    def __init__(self, t: Terminal) -> None:
        self._t = t
        self._limits = [REMIND + LIMITS[number][0] for number in sorted(LIMITS)]

    def names(self) -> "list[str]":
        return [_LANGUAGE] + self._limits

    def now(self, name: str) -> "Any":
        if name == _LANGUAGE:
            return self._t.view.language
        return self._t.journal.state.settings.get(name)

    def complaint(self, name: str, value: "Any") -> str:
        if name == _LANGUAGE:
            return "" if value in self._languages() else "not a language of this terminal"
        whole = isinstance(value, int) and not isinstance(value, bool)
        good = value is None or (whole and 0 <= value <= _MOST_LIMIT)
        return "" if good else "neither a number nor nothing"

    def _languages(self) -> "list[str]":
        known = [code for code, _ in LANGUAGES]
        if self._t.provision is None:
            return known
        return [code for code in self._t.provision.terminal.languages if code in known]

    async def use(self, values: "dict[str, Any]") -> None:
        if _LANGUAGE in values:
            self._t.view.set_language(values[_LANGUAGE])
            await boot.keep_language(self._t)
        boot.note_service(self._t)


class LinksOrder(Group):
    """Which link goes first, and which ones cost by the byte."""

    def __init__(self, t: Terminal) -> None:
        self._t = t

    def _ways(self) -> "list[Any]":
        return sorted(self._t.devices.network.ways, key=lambda way: way.rank)

    def _order(self) -> "list[str]":
        return [way.name for way in self._ways()]

    def names(self) -> "list[str]":
        order = self._order()
        if len(",".join(order)) > 64 or max([len(name) for name in order]) > _MOST_LINK:
            return []
        return [_ORDER] + [_METERED + name for name in order]

    def now(self, name: str) -> "Any":
        if name == _ORDER:
            return ",".join(self._order())
        (way,) = [way for way in self._ways() if _METERED + way.name == name]
        return bool(way.metered)

    def complaint(self, name: str, value: "Any") -> str:
        if name != _ORDER:
            return "" if value is True or value is False else "neither true nor false"
        good = isinstance(value, str) and sorted(value.split(",")) == sorted(self._order())
        return "" if good else "not each of " + ",".join(sorted(self._order())) + " once"

    async def keep(self, values: "dict[str, Any]") -> None:
        from firmware.services import link_settings

        devices = self._t.devices
        try:
            settings = await link_settings.load(devices.files, devices.vault)
        except link_settings.LinkSettingsLost:
            settings = link_settings.LinkSettings()
        self._put(settings, values)
        await link_settings.save(devices.files, devices.vault, settings)

    def _put(self, settings: "LinkSettings", values: "dict[str, Any]") -> None:
        for name in values:
            if name == _ORDER:
                settings.order = values[name].split(",")
            else:
                settings.of(name[len(_METERED) :]).metered = values[name]

    async def use(self, values: "dict[str, Any]") -> None:
        network = self._t.devices.network
        for way in network.ways:
            way.metered = values.get(_METERED + way.name, way.metered)
        network.prefer(values.get(_ORDER, ",".join(self._order())).split(","))


def config(t: Terminal, roles_of: "RolesOf") -> LinkConfig:
    """What reads and takes this terminal's settings. ``roles_of``: by a PC's static key."""
    groups: "list[Group]" = [TerminalSettings(t)]
    if hasattr(t.devices.network, "ways"):
        groups.append(LinksOrder(t))

    def busy() -> bool:
        return t.view.screen is None or t.view.screen.name != "idle"

    devices = t.devices
    return LinkConfig(
        t.journal, devices.files, devices.vault, groups, busy, devices.vault.link_key, roles_of
    )
