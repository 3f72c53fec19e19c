"""What people set of the links, kept over restarts with its passwords and PINs.

``links.cbor`` is sealed as a whole under the vault's slot ``links``: it dies with the
vault's keys. Wi-Fi passwords that NetworkManager keeps are not in it, and nothing of
it is ever journalled, logged or shown (docs/threat-model.md).
"""

from firmware import aio, cbor
from firmware.errors import TillError
from firmware.hal.files import NoSuchFile
from firmware.hal.mobile import Mobile, MobileSettings, is_pin
from firmware.hal.vault import VaultTampered
from firmware.hal.wifi import OPEN, WPA2, WPA2_WPA3, WPA3, KnownNetwork, WifiNetworks, check_join
from firmware.services.fields import Fields
from firmware.services.link_supervisor import LinkSupervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.hal.files import Files
    from firmware.hal.vault import Vault

FILE = "links.cbor"
SLOT = "links"
_VERSION = 1
_MOST_LINKS = 16
_MOST_FILE = 16384
#: What the map's values of "metered" mean.
_METERED = (False, True, None)
#: All bearers together may take so long to forget what they know.
WIPE_MS = 25_000


class LinkSettingsLost(TillError):
    """They do not verify, or are not ours: the board's own count until they are made anew."""

    text_key = "error.link_settings"


class OneLink:
    """What was set of one link; None and "" where the board's own counts."""

    def __init__(self) -> None:
        self.metered: "bool | None" = None
        self.mobile: "MobileSettings | None" = None
        self.pin = ""
        self.network: "KnownNetwork | None" = None


class LinkSettings:
    """``order``: names of links, the preferred one first; ``links`` by name."""

    def __init__(self) -> None:
        self.order: "list[str]" = []
        self.links: "dict[str, OneLink]" = {}

    def of(self, name: str) -> OneLink:
        """A link's settings, made if there are none."""
        if name not in self.links:
            self.links[name] = OneLink()
        return self.links[name]


async def load(files: "Files", vault: "Vault") -> LinkSettings:
    """What was kept; empty if nothing was. LinkSettingsLost, VaultTampered, FilesError."""
    try:
        sealed = await files.read(FILE, 0, _MOST_FILE + 1)
    except NoSuchFile:
        return LinkSettings()
    try:
        return _decoded(await vault.unseal(SLOT, sealed))
    except VaultTampered:
        raise
    except (TillError, ValueError) as error:
        raise LinkSettingsLost(FILE + ": " + str(error)) from None


async def save(files: "Files", vault: "Vault", settings: LinkSettings) -> None:
    """Keep them, whole or not at all. VaultError, FilesError."""
    await files.replace(FILE, await vault.seal(SLOT, _encoded(settings)))


def use(network: LinkSupervisor, settings: LinkSettings) -> None:
    """Give each link its settings, and begin anew those that have some."""
    network.prefer(settings.order)
    for way in network.ways:
        one = settings.links.get(way.name)
        if one is None:
            continue
        if one.metered is not None:
            way.metered = one.metered
        bearer: "Any" = way.bearer
        if isinstance(bearer, Mobile) and (one.mobile is not None or one.pin):
            bearer.set_up(one.mobile or bearer.settings, one.pin)
            network.again(way)
        if isinstance(bearer, WifiNetworks) and one.network is not None and not bearer.keeps:
            bearer.know(one.network)
            network.again(way)


async def begin(devices: "Any") -> "tuple[list[aio.Task], TillError | None]":
    """After a start: use what was kept. What runs on beside the app, and what is lost.
    A vault that erased itself while nobody looked makes the bearers forget as well."""
    if not isinstance(devices.network, LinkSupervisor):
        return [], None
    if devices.files is None or devices.vault is None:
        return [], None  # named by the self-test
    try:
        await devices.vault.status()  # erased: also where nothing of ours is kept
        use(devices.network, await load(devices.files, devices.vault))
    except VaultTampered:
        return [aio.spawn("forget links", wipe(devices))], None
    except ValueError as error:  # another bearer than the one that they were made for
        return [], LinkSettingsLost(str(error))
    except TillError as error:
        return [], error
    return [], None


async def wipe(devices: "Any") -> None:
    """Tamper: nothing that opens a network is left, here or in a service's own store.
    Never raises; the file's key died with the vault's."""
    network = devices.network
    if isinstance(network, LinkSupervisor):
        for way in network.ways:
            await aio.first(("wiped", way.bearer.wipe()), timeout_ms=WIPE_MS)
    if devices.files is not None:
        try:
            await devices.files.remove(FILE)
        except TillError:
            pass  # there was none, or it is noise without its key


# ---- on storage -----------------------------------------------------------------------


def _encoded(settings: LinkSettings) -> bytes:
    """1 version, 2 order, 3 links: 1 name, 2 metered, 3 mobile (none or one: 1 APN, 2 user,
    3 password, 4 roaming), 4 PIN, 5 network (none or one: 1 name, 2 protection, 3 password)."""
    links = []
    for name in sorted(settings.links):
        one = settings.links[name]
        mobile, network = one.mobile, one.network
        body: "dict[int, Any]" = {1: name, 2: _METERED.index(one.metered), 4: one.pin}
        body[3] = []
        if mobile is not None:
            body[3] = [{1: mobile.apn, 2: mobile.user, 3: mobile.password, 4: mobile.roaming}]
        body[5] = []
        if network is not None:
            body[5] = [{1: network.ssid, 2: network.security, 3: network.password}]
        links.append(body)
    return cbor.encode({1: _VERSION, 2: settings.order, 3: links})


def _decoded(plain: bytes) -> LinkSettings:
    """Inverse. FieldError, CborError, ValueError."""
    fields = Fields(cbor.decode(plain, max_size=_MOST_FILE), "links")
    fields.number(1, "version", _VERSION, _VERSION)
    settings = LinkSettings()
    for name in fields.items(2, "order", 0, _MOST_LINKS):
        if not isinstance(name, str):
            raise fields.wrong(2, "order", "not names")
        settings.order.append(name)
    for each in fields.tables(3, "links", 0, _MOST_LINKS):
        one = settings.of(each.text(1, "name", 1, 64))
        one.metered = _METERED[each.number(2, "metered", 0, 2)]
        for mobile in each.tables(3, "mobile", 0, 1):
            one.mobile = MobileSettings(
                mobile.ans(1, "APN", 0, 0, 100),
                mobile.ans(2, "user", 0, 0, 64),
                mobile.ans(3, "password", 0, 0, 64),
                mobile.flag(4, "roaming"),
            )
            mobile.end()
        one.pin = each.ans(4, "PIN", 0, 0, 8)
        if one.pin and not is_pin(one.pin):
            raise each.wrong(4, "PIN", "not 4 to 8 digits")
        for network in each.tables(5, "network", 0, 1):
            ssid = network.octets(1, "name", 1, 32)
            security = network.choice(2, "protection", (OPEN, WPA2, WPA2_WPA3, WPA3))
            password = network.ans(3, "password", 0, 0, 64)
            network.end()
            check_join(ssid, security, password)
            one.network = KnownNetwork(ssid, security, password)
        each.end()
    fields.end()
    return settings
