"""Provisioning files: the acquirer's own, and every way one can be wrong."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import cbor
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.vault import VaultError
from firmware.services import provisioning
from firmware.services.provisioning import NotProvisioned, ProvisioningError
from tests.support import bundle_parts as bp
from tests.support import vault_parts
from tests.support.memory_files import MemoryFiles, PowerCut
from tests.support.virtual_time import run

ROOT = Path(__file__).resolve().parents[2]


def _check(table: object) -> provisioning.Provision:
    return provisioning.check(bp.bundle(table), bp.trust(), bp.SERIAL)


def test_a_good_bundle() -> None:
    found = _check(bp.payload())
    assert found.test and found.issued == 1_780_000_000
    assert found.merchant.merchant_id == "TESTMERCHANT001" and found.merchant.category == "5411"
    assert (found.host.host, found.host.port, found.host.key_scheme) == ("127.0.0.1", 8583, "003")
    assert found.host.pin_format == 0 and found.host.timeout_ms == 30000
    assert len(found.client.chain) == 2 and found.client.key.startswith(b"-----BEGIN ENCRYPTED")
    assert found.aids[1].aid.hex() == "a000000333010102" and found.aids[0].partial
    assert found.capks[1].index == 2 and found.capks[0].expiry == "20351231"
    assert found.revoked == [(b"\xa0\x00\x00\x03\x33", 1, b"\x00\x00\x01")]
    assert found.terminal.languages == ["zh", "en"] and found.terminal.utc_offset == 480


def test_the_bundle_of_the_test_acquirer() -> None:
    from host_tools.acquirer.inprocess import InProcessAcquirer
    from host_tools.emulator import deck

    bundle, factory = InProcessAcquirer(deck.load()).enrol("SN-77")
    keys = json.loads((ROOT / "boards" / "test_keys.json").read_text())
    trust = {"provisioning_key": keys["provisioning_public"], "test": True}

    async def main() -> None:
        files = MemoryFiles({"bundle.cbor": bundle, "factory.cbor": factory})
        vault = SoftVault(files, vault_parts.SeededEntropy())
        await vault.open()
        assert await provisioning.factory_install(files, vault, "SN-77")
        found = await provisioning.load(files, trust, "SN-77")
        await provisioning.install(vault, found)
        before = files.steps
        await provisioning.install(vault, found)
        assert files.steps == before  # every boot does this; nothing is written again
        status = await vault.status()
        assert status["tmk"].algorithm == "tdes2" and all(s.test for s in status.values())
        assert len(await vault.tls_passphrase()) >= 20

    run(main())


#: (path in the payload, wrong value, part of the message)
WRONG: list[tuple[tuple[Any, ...], Any, str]] = [
    ((1,), 2, "bundle.1 version"),
    ((1,), True, "bundle.1 version"),
    ((2,), 1, "bundle.2 test"),
    ((3,), "SN-0002", "another device"),
    ((3,), "", "bundle.3"),
    ((3,), "x" * 21, "bundle.3"),
    ((4,), -1, "bundle.4"),
    ((5,), [], "not a map"),
    ((5, 1), "short", "bundle.5 merchant.1 merchant id"),
    ((5, 1), "TESTMERCHANT\u00e901", "not ASCII"),
    ((5, 2), "", "5 merchant.2 name"),
    ((5, 2), "a\x1bb", "control"),
    ((5, 3), "1000000", "5 merchant.3 terminal id"),
    ((5, 4), "54x1", "5 merchant.4"),
    ((5, 5), 0, "5 merchant.5 country"),
    ((5, 6), 999, "5 merchant.6 currency"),
    ((5, 6), 1000, "5 merchant.6 currency"),
    ((5, 7), 3, "5 merchant.7 currency exponent"),
    ((5, 7), "2", "5 merchant.7"),
    ((5, 8), b"x", "5 merchant.8"),
    ((5, 9), "x" * 81, "5 merchant.9"),
    ((6, 1), "a b", "6 host.1"),
    ((6, 2), 0, "6 host.2 port"),
    ((6, 2), 65536, "6 host.2 port"),
    ((6, 3), "", "6 host.3"),
    ((6, 4), [], "6 host.4"),
    ((6, 4), [b"not DER"], "6 host.4"),
    ((6, 4), ["text"], "6 host.4"),
    ((6, 4), [b"\x30\x02\x05\x00\x00"], "6 host.4"),
    ((6, 4), [b"\x30\x80\x05\x00"], "6 host.4"),
    ((6, 4), [b"\x30\x83\x00\x00\x00"], "6 host.4"),
    ((6, 4), [b"\x30\x82\x20\x00" + bytes(0x2000)], "6 host.4"),
    ((6, 5), bytes(4), "6 host.5 TPDU"),
    ((6, 6), bytes(7), "6 host.6"),
    ((6, 7), 999, "6 host.7"),
    ((6, 8), "visa", "6 host.8"),
    ((6, 9), "002", "6 host.9"),
    ((6, 10), "md5", "6 host.10"),
    ((6, 10), ["cup-ecb"], "6 host.10"),
    ((6, 11), 3, "6 host.11"),
    ((7, 1), [b""], "7 client.1"),
    ((7, 2), b"-----BEGIN PRIVATE KEY-----\n" + bytes(64), "7 client.2"),
    ((7, 2), b"\x30" + bytes(100), "7 client.2"),
    ((7, 2), b"", "7 client.2"),
    ((7, 3), bytes(32), "7 client.3"),
    ((8,), "D0112", "bundle.8"),
    ((8,), "x" * 2049, "bundle.8"),
    ((8,), b"x" * 112, "bundle.8"),
    ((9,), [], "bundle.9"),
    ((9,), {}, "bundle.9"),
    ((9, 0), 5, "AIDs[0]: not a map"),
    ((9, 1, 1), b"\xa0\x00\x00\x03", "AIDs[1].1 AID"),
    ((9, 1, 1), bytes.fromhex("A000000333010101"), "two entries"),
    ((9, 0, 2), 1, "AIDs[0].2"),
    ((9, 0, 3), bytes(4), "AIDs[0].3"),
    ((9, 0, 4), bytes(6), "AIDs[0].4"),
    ((9, 0, 5), "00000", "AIDs[0].5"),
    ((9, 0, 6), -1, "AIDs[0].6"),
    ((9, 0, 7), 1 << 32, "AIDs[0].7"),
    ((9, 0, 8), 1, "more than the maximum"),
    ((9, 0, 9), 100, "AIDs[0].9"),
    ((9, 0, 10), bytes(253), "AIDs[0].10"),
    ((9, 0, 11), None, "AIDs[0].11"),
    ((9, 0, 12), b"\x00", "AIDs[0].12"),
    ((9, 0, 13), "x" * 41, "AIDs[0].13"),
    ((10, 0, 1), bytes(4), "CAPKs[0].1"),
    ((10, 0, 2), 256, "CAPKs[0].2"),
    ((10, 0, 2), 7, "SHA-1: not that of"),
    ((10, 0, 3), bytes(39), "CAPKs[0].3"),
    ((10, 0, 3), bytes(128), "CAPKs[0].3"),
    ((10, 0, 3), b"\xff" * 249, "CAPKs[0].3"),
    ((10, 0, 3), b"\xff" * 128, "SHA-1: not that of"),
    ((10, 0, 4), b"\x02", "CAPKs[0].4"),
    ((10, 0, 5), "20351301", "CAPKs[0].5"),
    ((10, 0, 5), "351231", "CAPKs[0].5"),
    ((10, 0, 6), bytes(20), "CAPKs[0].6"),
    ((10, 1), bp.capk(), "two entries"),
    ((11,), [[bytes(5), 1]], "bundle.11"),
    ((11,), [[bytes(5), 256, bytes(3)]], "bundle.11"),
    ((11,), [[bytes(5), 1, bytes(2)]], "bundle.11"),
    ((11,), [[bytes(5), 1, bytes(3)]] * 1001, "bundle.11"),
    ((12, 1), 0x20, "12 terminal.1"),
    ((12, 2), bytes(2), "12 terminal.2"),
    ((12, 3), bytes(4), "12 terminal.3"),
    ((12, 4), bytes(52), "12 terminal.4"),
    ((12, 4), bytes(51), "12 terminal.4"),
    ((12, 5), [], "12 terminal.5"),
    ((12, 5), ["zh", "zh"], "12 terminal.5"),
    ((12, 5), ["../x"], "12 terminal.5"),
    ((12, 5), [1], "12 terminal.5"),
    ((12, 6), 900, "12 terminal.6"),
    ((12, 7), 0, "12 terminal.7"),
    ((12, 7), 10**12, "12 terminal.7"),
    ((12, 8), 0, "12 terminal.8"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=lambda v: str(v)[:30])
def test_each_field_wrong(path: tuple[Any, ...], value: Any, message: str) -> None:
    table: Any = bp.payload()
    place = table
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ProvisioningError) as caught:
        _check(table)
    assert message in caught.value.detail
    assert caught.value.text_key == "error.provisioning"


def _maps(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if isinstance(value, dict) else []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            found += _maps(inner, (*path, key))
    return found


@pytest.mark.parametrize("path", _maps(bp.payload()), ids=str)
def test_each_key_missing_and_unknown_keys(path: tuple[Any, ...]) -> None:
    def place(table: Any) -> Any:
        for step in path:
            table = table[step]
        return table

    for key in list(place(bp.payload())):
        table = bp.payload()
        del place(table)[key]
        with pytest.raises(ProvisioningError, match="missing"):
            _check(table)
    table = bp.payload()
    place(table)[99] = 0
    with pytest.raises(ProvisioningError, match="unknown key 99"):
        _check(table)


@pytest.mark.parametrize("value", [None, 5, [], {}, "x", b"", [b"", b""], [{}, b""], [b"a"]])
def test_no_bundle_at_all(value: object) -> None:
    with pytest.raises(ProvisioningError):
        provisioning.check(cbor.encode(value), bp.trust(), bp.SERIAL)


def test_signature_and_trust() -> None:
    good = bp.bundle()
    body, signature = cbor.decode(good)  # type: ignore[misc]  # a list of two, as encoded
    bare = cbor.encode([body, bp.sign(body)])  # signed without the label
    other = cbor.encode([body, bp.sign(b"OpenTill bundle 1\0" + body, bytes(32))])
    changed = cbor.encode([body[:-1] + b"\xf4", signature])
    for bad in (bare, other, changed, cbor.encode([body, b""])):
        with pytest.raises(ProvisioningError, match="signature"):
            provisioning.check(bad, bp.trust(), bp.SERIAL)
    for bad in (good[:-1], good + b"\x00", b"", b"\xff", b"\xd9\xd9\xf7" + good):
        with pytest.raises(ProvisioningError, match=r"bundle\.cbor"):
            provisioning.check(bad, bp.trust(), bp.SERIAL)
    with pytest.raises(ProvisioningError, match="no test bundle"):
        provisioning.check(good, bp.trust(False), bp.SERIAL)
    for key in (None, "", "zz", "00", b"x", 5):
        with pytest.raises(ProvisioningError, match="provisioning_key"):
            provisioning.check(good, {"provisioning_key": key, "test": True}, bp.SERIAL)
    raw = {"provisioning_key": bp.public_key(), "test": True}
    assert provisioning.check(good, raw, bp.SERIAL).serial == bp.SERIAL


def test_a_signed_payload_that_is_not_canonical() -> None:
    body = b"\xa1\x18\x01\x01"  # the key 1 in two bytes
    signed = cbor.encode([body, bp.sign(b"OpenTill bundle 1\0" + body)])
    with pytest.raises(ProvisioningError, match="payload"):
        provisioning.check(signed, bp.trust(), bp.SERIAL)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.binary(max_size=8) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 14), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(st.lists(st.integers(1, 13), min_size=1, max_size=4), _ANY)
def test_any_value_anywhere_is_refused_by_name_or_taken(path: list[int], value: object) -> None:
    table: Any = copy.deepcopy(bp.payload())
    place = table
    for step in path[:-1]:
        inner = place.get(step) if isinstance(place, dict) else None
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            inner = inner[0]
        if not isinstance(inner, dict):
            break
        place = inner
    place[path[-1]] = value
    try:
        found = provisioning.parse(table)
    except ProvisioningError as error:
        assert error.detail.startswith("bundle")
    else:
        assert found.merchant is not None


def test_absent_and_oversized() -> None:
    async def main() -> None:
        with pytest.raises(NotProvisioned) as caught:
            await provisioning.load(MemoryFiles(), bp.trust(), bp.SERIAL)
        assert caught.value.text_key == "error.not_provisioned"
        big = MemoryFiles({"bundle.cbor": bytes((1 << 20) + 1), "factory.cbor": bytes(1 << 21)})
        with pytest.raises(ProvisioningError, match="1 MiB"):
            await provisioning.load(big, bp.trust(), bp.SERIAL)
        vault = SoftVault(big, vault_parts.SeededEntropy())
        await vault.open()
        with pytest.raises(ProvisioningError, match="1 MiB"):
            await provisioning.factory_install(big, vault, bp.SERIAL)
        assert not await provisioning.factory_install(MemoryFiles(), vault, bp.SERIAL)

    run(main())


def test_install_needs_the_right_transport_key() -> None:
    async def main() -> None:
        provision = _check(bp.payload())
        vault = SoftVault(MemoryFiles(), vault_parts.SeededEntropy())
        await vault.open()
        with pytest.raises(NotProvisioned, match="transport"):
            await provisioning.install(vault, provision)
        await vault.install_transport(bytes(32), True)
        with pytest.raises(ProvisioningError, match=r"bundle\.8 TMK"):
            await provisioning.install(vault, provision)
        assert set(await vault.status()) == {"transport", "token", "journal"}

        real = SoftVault(MemoryFiles(), vault_parts.SeededEntropy())
        await real.open()
        await real.install_transport(vault_parts.TRANSPORT, False)
        with pytest.raises(ProvisioningError, match="test"):
            await provisioning.install(real, provision)

        table = bp.payload()
        table[7][3] = vault_parts.sealed_passphrase(transport=bytes(32))
        good = SoftVault(MemoryFiles(), vault_parts.SeededEntropy())
        await good.open()
        await good.install_transport(vault_parts.TRANSPORT, True)
        with pytest.raises(ProvisioningError, match="passphrase"):
            await provisioning.install(good, _check(table))

    run(main())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "factory"),
        (b"\x00\x01", "factory"),
        (cbor.encode([]), "not a map"),
        (bp.factory(serial="other"), "another device"),
        (bp.factory(key=bytes(31)), "factory.3"),
        (cbor.encode({1: 2, 2: bp.SERIAL, 3: bytes(32), 4: True}), "factory.1"),
        (cbor.encode({1: 1, 2: bp.SERIAL, 3: bytes(32), 4: 1}), "factory.4"),
        (cbor.encode({1: 1, 2: bp.SERIAL, 3: bytes(32)}), "missing"),
        (cbor.encode({1: 1, 2: bp.SERIAL, 3: bytes(32), 4: True, 5: 0}), "unknown key 5"),
    ],
)
def test_wrong_factory_files_stay(data: bytes, message: str) -> None:
    async def main() -> None:
        files = MemoryFiles({"factory.cbor": data})
        vault = SoftVault(files, vault_parts.SeededEntropy())
        await vault.open()
        with pytest.raises(ProvisioningError) as caught:
            await provisioning.factory_install(files, vault, bp.SERIAL)
        assert message in caught.value.detail
        assert files.now["factory.cbor"] == data
        assert "transport" not in await vault.status()

    run(main())


@pytest.mark.parametrize("unsynced", ["lost", "kept", "torn"])
def test_factory_install_cut_anywhere(unsynced: str) -> None:
    async def boot(files: MemoryFiles) -> SoftVault:
        vault = SoftVault(files, vault_parts.SeededEntropy())
        await vault.open()
        await provisioning.factory_install(files, vault, bp.SERIAL)
        return vault

    async def main() -> None:
        total = MemoryFiles({"factory.cbor": bp.factory()})
        await boot(total)
        for cut in range(total.steps):
            files = MemoryFiles({"factory.cbor": bp.factory()})
            files.cut_at = cut
            with pytest.raises(PowerCut):
                await boot(files)
            disk = files.after_cut(unsynced)
            vault = await boot(disk)
            assert (await vault.status())["transport"].test
            assert "factory.cbor" not in disk.now
            assert vault_parts.TRANSPORT not in b"".join(disk.now.values())

    run(main())


def test_a_second_factory_key_is_refused_unless_the_vault_was_erased() -> None:
    async def main() -> None:
        files = MemoryFiles({"factory.cbor": bp.factory()})
        vault = SoftVault(files, vault_parts.SeededEntropy())
        await vault.open()
        assert await provisioning.factory_install(files, vault, bp.SERIAL)
        await files.replace("factory.cbor", bp.factory(key=bytes(32)))
        with pytest.raises(ProvisioningError, match="another one"):
            await provisioning.factory_install(files, vault, bp.SERIAL)
        await vault.erase()
        assert await provisioning.factory_install(files, vault, bp.SERIAL)
        assert set(await vault.status()) == {"transport", "token", "journal"}
        closed = SoftVault(MemoryFiles(), vault_parts.SeededEntropy())
        with pytest.raises(VaultError):
            await provisioning.factory_install(
                MemoryFiles({"factory.cbor": bp.factory()}), closed, bp.SERIAL
            )

    run(main())
