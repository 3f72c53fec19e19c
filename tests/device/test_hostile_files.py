"""Files damaged, cut, swapped or blown up between two boots, whole device."""

from collections.abc import Callable

import pytest

from tests.support import virtual_time
from tests.support.handheld import Handheld
from tests.support.hostile import clean_screens, to_idle

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "first_bit": lambda data: bytes([data[0] ^ 0x10]) + data[1:],
    "middle_bit": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
    "zeros": lambda data: bytes(len(data)),
    "huge": lambda data: data + bytes(3_000_000),
    "nested": lambda data: b"\x81" * 100_000,
    "endless_map": lambda data: b"\xbb" + b"\xff" * 8 + data,
    "endless_bytes": lambda data: b"\x5b\x7f" + b"\xff" * 7 + data,
}
#: The rest is for the soak: each costs two boots and a payment.
HOW = [
    pytest.param(how, marks=() if how in ("half", "middle_bit", "huge") else pytest.mark.soak)
    for how in DAMAGE
]
#: File: the text keys of which one stands on the idle screen afterwards. The
#: vault keeps two copies of its sequence and forgives one.
FILES: dict[str, set[str]] = {
    "bundle.cbor": {"error.provisioning"},
    "device.key": {"error.tamper"},
    "vault.bin": {"error.tamper"},
    "vault.seq": {"error.tamper", "idle.prompt"},
    "j00000001.seg": {"error.journal_confirm", "error.journal_blocked"},
}


async def _used() -> Handheld:
    """A terminal with a payment behind it, powered off."""
    t = Handheld()
    await t.power_on()
    await t.pay("1234", "no-cvm")
    await t.back_to_idle()
    await t.power_off()
    return t


async def _boots_to(t: Handheld, keys: set[str]) -> None:
    """Boot names what is wrong and what to do; payments are refused, the menu works."""
    await t.power_on()
    assert t.keys_shown() & keys, t.text
    if "idle.prompt" not in t.keys_shown():
        (notice,) = [node for node in t.screen["nodes"] if node["name"] == "notice"]
        assert t.keys_shown() & {notice["key"] + ".do"}, "what to do next is not said"
        await t.press("1")
        await t.until("message")
        await to_idle(t)
    for item in "134":
        await t.press("menu")
        await t.until("menu")
        await t.press(item)
        await to_idle(t)
    clean_screens(t)
    await t.power_off()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_at_boot(name: str, how: str) -> None:
    async def story() -> None:
        t = await _used()
        t.put(name, DAMAGE[how](t.disk.read(name, 0, 1 << 20)))
        await _boots_to(t, FILES[name])

    virtual_time.run(story())


@pytest.mark.parametrize("name", FILES)
def test_a_lost_file_is_named_at_boot(name: str) -> None:
    async def story() -> None:
        t = await _used()
        t.disk.remove(name)
        lost = {"bundle.cbor": {"error.not_provisioned"}, "vault.seq": {"error.tamper"}}
        await _boots_to(t, lost.get(name, FILES[name]))

    virtual_time.run(story())


@pytest.mark.parametrize("name", FILES)
def test_another_terminals_file_is_named_at_boot(name: str) -> None:
    async def story() -> None:
        other = Handheld(seed=2)
        await other.power_on()
        await other.power_off()
        t = await _used()
        if name == "bundle.cbor":
            foreign = t.acquirer.enrol("VT000002", host="bank.test")[0]
        else:
            foreign = other.disk.read(name, 0, 1 << 20)
        t.put(name, foreign)
        await _boots_to(t, FILES[name] - {"idle.prompt"})

    virtual_time.run(story())
