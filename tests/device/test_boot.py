"""Boot and the menu: who the terminal is, what is broken, what it remembers."""

import errno

import pytest

from firmware.payment.journal import records as r
from host_tools.emulator.chips.net import UNKNOWN
from tests.device.stories import menu, sell, shown, tell
from tests.support.handheld import BANK_HOST, NOW, Handheld

WISHES = {"languages": ("en", "zh"), "host": BANK_HOST}


async def _refuses(t: Handheld, key: str) -> None:
    """The idle screen says ``key`` and no payment starts."""
    before = len(t.messages("0200"))
    await t.when(lambda tree: key in t.keys_shown(), key)
    await t.press("5")
    await t.until("message")
    assert key in t.keys_shown()
    await t.press("enter")
    await t.until("idle")
    t.insert("approve")
    await t.press("enter")
    await t.until("message")
    t.remove()
    assert len(t.messages("0200")) == before


def test_without_a_bundle_it_says_so() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await _refuses(t, "error.not_provisioned")

    tell(story, provisioned=False)


def test_random_numbers_that_a_seed_made_are_for_emulated_terminals_alone() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        assert "error.entropy" not in t.keys_shown()  # its mark says what it is
        await t.power_off()
        t.board["emulated"] = False
        await t.power_on()
        await _refuses(t, "error.entropy")

    tell(story)


def test_a_bundle_for_another_device_is_refused_by_name() -> None:
    async def story(t: Handheld) -> None:
        bundle, _ = t.acquirer.enrol("ANOTHER-1", **WISHES)
        _, factory = t.acquirer.enrol(t.board["serial"], **WISHES)
        t.put("bundle.cbor", bundle)
        t.put("factory.cbor", factory)
        await t.power_on()
        await _refuses(t, "error.provisioning")

    tell(story, provisioned=False)


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty", "huge"])
def test_a_broken_bundle_is_refused_by_name(damage: str) -> None:
    async def story(t: Handheld) -> None:
        bundle = t.disk.snapshot()["bundle.cbor"]
        t.put("bundle.cbor", {
            "torn": bundle[: len(bundle) // 2],
            "flipped": bundle[:99] + bytes([bundle[99] ^ 1]) + bundle[100:],
            "empty": b"",
            "huge": bundle + bytes(1 << 20),
        }[damage])  # fmt: skip
        await t.power_on()
        await _refuses(t, "error.provisioning")

    tell(story)


def test_a_clock_before_the_build_blocks() -> None:
    async def story(t: Handheld) -> None:
        t.rack.rtc.set(NOW - 400 * 86_400)
        await t.power_on()
        await _refuses(t, "error.clock_wrong")

    tell(story)


@pytest.mark.parametrize("skew", [-3_600, 3_600, 20 * 3_600])
def test_the_bank_puts_a_skewed_clock_right(skew: int) -> None:
    async def story(t: Handheld) -> None:
        t.rack.rtc.set(NOW + skew)
        await t.power_on()
        await sell(t)
        await t.back_to_idle()
        moved = [body for name, body in t.journal() if name == "CLOCK"]
        assert len(moved) == 1
        assert abs(moved[0][r.K_NEW] - moved[0][r.K_OLD] + skew) < 60
        assert abs(t.rack.rtc.now() - t.now()) < 5
        assert moved[0][r.K_SOURCE] == "host"

    tell(story)


def test_the_bank_moves_no_clock_by_more_than_a_day() -> None:
    async def story(t: Handheld) -> None:
        t.rack.rtc.set(NOW + 3 * 86_400)
        await t.power_on()
        await menu(t, 2)
        await t.until("message")
        assert "network.signed_in" in t.keys_shown()
        assert not [body for name, body in t.journal() if name == "CLOCK"]
        assert [b for n, b in t.journal() if n == "NOTICE" and b[r.K_CODE] == "host_time"]
        assert abs(t.rack.rtc.now() - t.now() - 3 * 86_400) < 5

    tell(story)


def test_signing_in_says_that_it_cannot_set_a_clock_years_back() -> None:
    async def story(t: Handheld) -> None:
        t.rack.rtc.set(NOW - 10 * 365 * 86_400)
        await t.power_on()
        await menu(t, 2)
        await t.until("message")
        assert {"clock.far_off", "clock.far_off.do"} <= t.keys_shown()
        await t.press("enter")
        await t.until("idle")
        await t.when(lambda _: "error.clock_wrong" in t.keys_shown(), "the refusal")

    tell(story)


def test_signing_in_puts_right_a_clock_just_before_the_build() -> None:
    async def story(t: Handheld) -> None:
        t.rack.rtc.set(NOW - 86_400 - 600)
        t.board["built"] = NOW - 3_600
        t.rack.rtc.set(NOW - 2 * 3_600)
        await t.power_on()
        assert "error.clock_wrong" in t.keys_shown()
        await menu(t, 2)
        await t.until("message")
        await t.press("enter")
        await t.until("idle")
        assert "error.clock_wrong" not in t.keys_shown()
        await sell(t)
        assert "result.approved" in t.keys_shown()

    tell(story)


@pytest.mark.parametrize("running", [True, False])
def test_an_opened_case_erases_the_keys_until_it_is_provisioned_again(running: bool) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t)
        await t.back_to_idle()
        if running:
            t.rack.tamper.set(False)
            await t.until("message")
            assert "error.tamper" in t.keys_shown()
            await t.power_off()
        else:
            await t.power_off()
            t.rack.tamper.set(False)
        await t.power_on()
        await _refuses(t, "error.tamper")
        await t.power_off()
        t.rack.tamper.set(True)
        await t.power_on()
        await _refuses(t, "error.tamper")
        await t.power_off()
        t.provision(**WISHES)
        await t.power_on()
        assert "error.tamper" not in t.keys_shown()
        await menu(t, 7)
        await t.until("secret")
        await t.press(*"123456", "enter")
        await t.until("idle")
        await sell(t)
        assert "result.approved" in t.keys_shown()

    tell(story)


BROKEN = {
    "entropy": ("trng", "mute", True),
    "card_reader": ("slot", "broken", True),
    "printer": ("printer", "mute", True),
    "clock": ("rtc", "mute", True),
    "power": ("gauge", "mute", True),
}


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_device_that_fails_is_a_named_line_of_the_self_test(kind: str) -> None:
    async def story(t: Handheld) -> None:
        chip, name, value = BROKEN[kind]
        setattr(getattr(t.rack, chip), name, value)
        await t.power_on()
        await menu(t, 5)
        await t.until("self_test")
        lines = next(node for node in t.screen["nodes"] if node["kind"] == "lines")["items"]
        states = {str(line[0]): str(line[1]) for line in lines}
        assert states, lines
        bad = [name for name, state in states.items() if state in ("FAIL", "故障")]
        assert bad, states
        if kind in ("entropy", "card_reader", "clock"):
            await t.press("cancel")
            await t.until("idle")
            await t.press("5")
            await t.until("message")
            assert not shown(t, "amount")

    tell(story)


def _states(t: Handheld) -> dict[str, str]:
    lines = next(node for node in t.screen["nodes"] if node["kind"] == "lines")["items"]
    return {str(line[0]): str(line[1]) for line in lines}


def test_the_self_test_is_shown_and_printed() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await menu(t, 5)
        await t.until("self_test")
        assert {"hint.cancel", "hint.print"} <= t.keys_shown()
        await t.press("down", "up", "enter")
        await t.until("printing")
        assert "print.copy.self_test" in t.keys_shown()
        assert "print.copy.merchant" not in t.keys_shown()
        await t.until("idle")
        assert t.board["serial"] in t.paper

    tell(story)


@pytest.mark.parametrize("kind", ["card_reader", "printer"])
def test_the_menu_tests_afresh_and_a_device_that_works_again_is_well(kind: str) -> None:
    async def story(t: Handheld) -> None:
        chip, name, value = BROKEN[kind]
        whole = getattr(getattr(t.rack, chip), name)
        setattr(getattr(t.rack, chip), name, value)
        await t.power_on()
        setattr(getattr(t.rack, chip), name, whole)
        t.screens.clear()
        await menu(t, 5)
        await t.until("self_test")
        assert any(tree["screen"] == "boot" for tree in t.screens), "one result after another"
        assert "FAIL" not in _states(t).values()
        setattr(getattr(t.rack, chip), name, value)
        await t.press("cancel")
        await menu(t, 5)
        await t.until("self_test")
        assert "FAIL" in _states(t).values()

    tell(story)


def test_a_reader_found_well_takes_payments_again() -> None:
    async def story(t: Handheld) -> None:
        t.rack.slot.broken = True
        await t.power_on()
        t.rack.slot.broken = False
        await t.press("5")
        await t.until("message")
        await t.press("enter")
        await menu(t, 5)
        await t.until("self_test")
        await t.press("cancel")
        await t.until("idle")
        await sell(t)
        assert "result.approved" in t.keys_shown()

    tell(story)


def test_the_language_outlives_a_restart() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        assert "Key in amount" in t.text
        await menu(t, 4)
        await t.until("choose")
        await t.press("2")
        await t.when(lambda tree: "Key in" not in t.text and tree["screen"] == "idle", "Chinese")
        await t.power_off()
        t.screens.clear()
        await t.power_on()
        assert {tree["language"] for tree in t.screens} == {"zh"}  # from the splash on
        assert "Key in amount" not in t.text
        assert "开源测试商店" in t.text

    tell(story)


def test_the_splash_stands_before_the_first_line_of_the_self_test() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        seen = [{node.get("key") for node in tree["nodes"]} for tree in t.screens]
        assert "boot.brand" in seen[0]
        tests = [at for at, keys in enumerate(seen) if "boot.title" in keys]
        assert tests and tests[0] == 1

    tell(story)


@pytest.mark.parametrize("kept", [b"", b"xx", b"zh\n", b"\xff\xfe", b"zh" * 5000])
def test_a_language_file_that_makes_no_sense_is_as_good_as_none(kept: bytes) -> None:
    async def story(t: Handheld) -> None:
        t.put("language", kept)
        await t.power_on()
        assert {tree["language"] for tree in t.screens} == {"zh"}  # the board's first

    tell(story, languages=("zh", "en"))


def test_a_disk_that_keeps_no_language_file_changes_nothing_else() -> None:
    async def story(t: Handheld) -> None:
        t.disk.fault = lambda what, name: errno.EIO if name.startswith("language") else 0
        await t.power_on()
        assert t.screens[0]["language"] == "zh" and t.screens[-1]["language"] == "en"
        await sell(t)
        assert "result.approved" in t.keys_shown()

    tell(story)


def test_about_echo_sign_in_and_sign_out() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await menu(t, 8)
        await t.until("info")
        assert t.board["serial"] in t.text
        await t.press("down", "up", "cancel")
        await t.until("idle")
        for item, key in ((2, "network.signed_in"), (6, "network.signed_out")):
            await menu(t, item)
            await t.until("message")
            assert key in t.keys_shown()
            await t.press("enter")
            await t.until("idle")
        names = [name for name, _ in t.journal()]
        assert names[-1] == "SIGNED_OUT"

    tell(story)


class NoSuchName:
    """The far end of a connection whose host's name no server knows."""

    def __init__(self, host: str, port: int) -> None:
        assert not host.replace(".", "").isdigit(), "a name, no address"

    def state(self) -> int:
        """As the wire says it."""
        return UNKNOWN

    def feed(self, data: bytes) -> None:
        """Nobody hears."""

    def take(self) -> bytes:
        """Nothing comes."""
        return b""

    def close(self) -> None:
        """Nothing to close."""


def _steps(t: Handheld) -> dict[str, str]:
    lines = next(node for node in t.screen["nodes"] if node["kind"] == "lines")["items"]
    return {str(line[0]): str(line[1]) for line in lines}


def test_the_line_is_tested_step_by_step() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await menu(t, 3)
        await t.until("info")
        steps = _steps(t)
        assert list(steps) == ["Link", "Connect", "TLS", "Bank's answer", "Bank's clock"]
        assert steps["Link"] == "Mobile" and steps["TLS"].endswith(" ms")
        assert steps["Bank's clock"] == "0 s"
        await t.press("cancel")
        await t.until("idle")

    tell(story)


def test_a_line_test_names_the_step_that_fails() -> None:
    async def fails(t: Handheld, key: str, *steps: str) -> None:
        await menu(t, 3)
        await t.until("message")
        assert key in t.keys_shown()
        await t.press("enter")
        await t.until("info")
        found = _steps(t)
        assert list(found) == list(steps)
        assert found.popitem()[1] == "FAIL" and "FAIL" not in found.values()
        await t.press("cancel")
        await t.until("idle")

    async def story(t: Handheld) -> None:
        await t.power_on()
        t.acquirer.rule("drop", mti="0820")
        await fails(t, "error.network_host", "Link", "Connect", "TLS", "Bank's answer")
        t.rack.net.dial = NoSuchName
        await fails(t, "error.network_host", "Link", "Name lookup")
        t.rack.net.dial = lambda host, port: None
        await fails(t, "error.network_host", "Link", "Connect")
        t.rack.net.link(False)
        await fails(t, "error.network_link", "Link")

    tell(story)


def test_a_damaged_journal_waits_for_the_supervisor() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t)
        await t.back_to_idle()
        await t.power_off()
        (name,) = [one for one in t.disk.snapshot() if one.endswith(".seg")]
        content = bytearray(t.disk.snapshot()[name])
        content[len(content) // 2] ^= 0x40
        t.put(name, bytes(content))
        await t.power_on()
        await _refuses(t, "error.journal_confirm")
        await t.press("cancel")
        await t.until("idle")
        await t.power_off()
        await t.power_on()  # still
        await menu(t, 7)
        await t.until("secret")
        await t.press(*"123456", "enter")
        await t.until("printing")
        await t.until("idle")
        assert "CONFIRMED" in [kind for kind, _ in t.journal()]
        used = {row["fields"]["11"] for row in t.messages("0200")}
        await sell(t, "700", "approve")
        assert "result.approved" in t.keys_shown()
        assert t.messages("0200")[-1]["fields"]["11"] not in used

    tell(story)


def test_full_storage_takes_no_payment() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t, "100")
        await t.back_to_idle()
        t.put("filler", bytes(max(t.disk.free() - 8_192, 0)))
        await t.press("5", "enter")
        await t.until("message")
        assert "error.storage_full" in t.keys_shown()
        await t.press("enter")
        await t.until("idle")
        await t.power_off()
        await t.power_on()
        await _refuses(t, "error.storage_full")
        assert len(t.messages("0200")) == 1

    tell(story)


def test_test_keys_and_an_emulated_board_are_marked() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        assert {"idle.mark.both", "idle.mark.test"} & t.keys_shown()
        await sell(t)
        await t.back_to_idle()
        assert "TEST" in t.paper

    tell(story)


def test_no_stan_is_used_twice_over_restarts() -> None:
    async def story(t: Handheld) -> None:
        for _ in range(3):
            await t.power_on()
            await sell(t, "100")
            await t.back_to_idle()
            await t.press("5", "enter")
            await t.until("present_card")
            t.insert("approve")
            await t.until("pin")
            await t.press("cancel")
            await t.until("remove_card")
            t.remove()
            await t.until("idle")
            await t.power_off()
        # An intent that nothing followed may be lost with the power: nobody saw its STAN.
        stans = [row["fields"]["11"] for row in t.messages("0200", "0800")]
        assert len(set(stans)) == len(stans) == 4
        await t.power_on()

    tell(story)


@pytest.mark.parametrize(
    "kind", ["keypad", "clock", "card_reader", "pin_entry", "network", "printer", "power"]
)
def test_a_device_whose_driver_cannot_start_never_stops_the_terminal(kind: str) -> None:
    async def story(t: Handheld) -> None:
        t.board[kind] = {**t.board[kind], "driver": "no-such"}
        await t.power_on()
        if kind == "keypad":
            await t.when(lambda tree: "error.keypad" in t.keys_shown(), "the notice")
            return
        if kind in ("printer", "power"):
            await sell(t)
            assert "result.approved" in t.keys_shown()
            await t.back_to_idle()
        else:
            await _refuses(t, "error." + kind)
            await t.press("enter")
            await t.until("idle")
        for item in (1, 2, 3, 6, 7):
            await menu(t, item)
            await t.until("message", "printing", "idle", "secret")
            await t.press("cancel")
            await t.until("idle")
        await menu(t, 5)
        await t.until("self_test")
        await t.press("cancel")
        await menu(t, 8)
        await t.until("info")

    tell(story)
