"""What is kept of the links: sealed, whole or not at all, on both interpreters."""

from firmware import cbor
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.mobile import MobileSettings
from firmware.hal.vault import VaultTampered
from firmware.hal.wifi import OPEN, WPA2_WPA3, KnownNetwork
from firmware.services import link_settings
from firmware.services.link_settings import FILE, LinkSettings, LinkSettingsLost
from tests.portable.virtual_run import run
from tests.support import vault_parts
from tests.support.memory_files import MemoryFiles


def kept():
    settings = LinkSettings()
    settings.order = ["mobile", "wifi"]
    settings.of("wifi").network = KnownNetwork(b"Caf\xc3\xa9", WPA2_WPA3, "p@ss Word9")
    settings.of("wifi").metered = False
    mobile = settings.of("mobile")
    mobile.mobile = MobileSettings("shop.iot", "user", "secret", False)
    mobile.pin = "4711"
    return settings


async def vault_on(files):
    vault = SoftVault(files, vault_parts.SeededEntropy())
    await vault.open()
    return vault


def test_what_is_kept_comes_back_and_is_in_no_file_in_clear():
    async def main():
        files = MemoryFiles()
        vault = await vault_on(files)
        assert (await link_settings.load(files, vault)).links == {}
        await link_settings.save(files, vault, kept())
        for name in files.now:
            for secret in (b"p@ss", b"secret", b"4711", b"shop.iot", b"Caf"):
                assert secret not in files.now[name], name
        again = await link_settings.load(files, await vault_on(files))
        assert again.order == ["mobile", "wifi"]
        wifi, mobile = again.links["wifi"], again.links["mobile"]
        assert (wifi.network.ssid, wifi.network.password) == (b"Caf\xc3\xa9", "p@ss Word9")
        assert (wifi.metered, mobile.metered, wifi.mobile, wifi.pin) == (False, None, None, "")
        assert (mobile.mobile.apn, mobile.mobile.password) == ("shop.iot", "secret")
        assert not mobile.mobile.roaming and mobile.pin == "4711" and mobile.network is None

    run(main())


def test_a_cut_leaves_the_old_or_the_new():
    async def main():
        files = MemoryFiles()
        vault = await vault_on(files)
        await link_settings.save(files, vault, LinkSettings())
        await link_settings.save(files, vault, kept())
        for fate in ("lost", "kept"):
            after = files.after_cut(fate)
            assert (await link_settings.load(after, await vault_on(after))).order in (
                [], ["mobile", "wifi"]
            )  # fmt: skip

    run(main())


async def lost(files, vault):
    try:
        await link_settings.load(files, vault)
    except LinkSettingsLost as error:
        return str(error)
    raise AssertionError("not refused")


def test_what_is_damaged_or_of_another_is_lost_by_name():
    async def main():
        files = MemoryFiles()
        vault = await vault_on(files)
        await link_settings.save(files, vault, kept())
        good = files.now[FILE]
        for bad in (b"", good[:-1], bytes(len(good)), good + b"x", b"x" * 40000):
            files.now[FILE] = bad
            assert FILE in await lost(files, vault)
        link = {1: "wifi", 2: 2, 3: [], 4: "", 5: []}
        network = {1: b"x", 2: OPEN, 3: ""}
        for body in (
            [], {1: 2, 2: [], 3: []}, {1: 1, 2: [1], 3: []}, {1: 1, 2: [], 3: [], 4: 0},
            {1: 1, 2: [], 3: [with_(link, 2, 3)]}, {1: 1, 2: [], 3: [with_(link, 4, "12")]},
            {1: 1, 2: [], 3: [with_(link, 4, "12345x")]},
            {1: 1, 2: [], 3: [with_(link, 3, [{1: "a b", 2: "", 3: "", 4: True}])]},
            {1: 1, 2: [], 3: [with_(link, 5, [with_(network, 2, "wep")])]},
            {1: 1, 2: [], 3: [with_(link, 5, [with_(network, 3, "short")])]},
            {1: 1, 2: [], 3: [with_(link, 5, [network, network])]},
        ):  # fmt: skip
            files.now[FILE] = await vault.seal("links", cbor.encode(body))
            await lost(files, vault)
        files.now[FILE] = good
        await vault.destroy("links")
        assert "links" in await lost(files, vault)
        await vault.erase()
        try:
            await link_settings.load(files, vault)
            raise AssertionError("not refused")
        except VaultTampered:
            pass

    run(main())


def with_(table, key, value):
    made = {}
    made.update(table)
    made[key] = value
    return made
