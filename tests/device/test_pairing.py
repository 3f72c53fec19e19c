"""A PC is paired by keys and screens, in both languages, and revoked again (docs/link.md)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firmware import aio
from firmware.link import packets
from firmware.link.services import fingerprint
from firmware.link.streams import ERROR
from firmware.payment.journal import records as r
from tests.support.handheld import Handheld
from tests.support.pc_end import Cable, PcSide, Plug, RackCable
from tests.support.virtual_time import run

SUPERVISOR = "123456"


def play(story: Callable[[Handheld], Awaitable[None]], **wishes: Any) -> None:
    async def main() -> None:
        handheld = Handheld(**wishes)
        await handheld.power_on()
        await story(handheld)
        await handheld.power_off()

    run(main())


def pc_of(h: Handheld, key: int = 1, name: str = "Office PC") -> PcSide:
    return PcSide(RackCable(h.rack.pc), key, name)


async def page(h: Handheld, item: str) -> None:
    """The PC page, and one of its items."""
    await h.press("menu")
    await h.until("menu")
    await h.press("up", "enter")  # the last item
    await h.when(lambda tree: len(tree["nodes"][1].get("items", [])) == 2, "the page")
    await h.press(item)


async def code(h: Handheld) -> None:
    await h.until("secret")
    await h.press(*SUPERVISOR, "enter")


async def window(h: Handheld) -> None:
    await page(h, "1")
    await code(h)
    await h.until("pair_wait")


async def agree(h: Handheld) -> None:
    await h.until("pair_asks")
    await h.press("enter")
    await h.until("pair_roles")
    await h.press("enter")


def shown(h: Handheld) -> Callable[[], Awaitable[str]]:
    """Whoever reads the code from the screen."""

    async def read() -> str:
        await h.until("pair_code")
        (digits,) = [node["text"] for node in h.screen["nodes"] if node["name"] == "code"]
        return str(digits).replace(" ", "")

    return read


def wrong(h: Handheld) -> Callable[[], Awaitable[str]]:
    async def read() -> str:
        digits = await shown(h)()
        return digits[:5] + str((int(digits[5]) + 1) % 10)

    return read


async def pair(h: Handheld, pc: PcSide, *roles: str) -> Any:
    await window(h)
    pairing = aio.spawn("pairing", pc.pair(list(roles), shown(h)))
    await agree(h)
    got = await pairing.join()
    await h.until("pair_done")
    await h.press("enter")
    await h.until("idle")
    return got


def notices(h: Handheld) -> list[str]:
    return [str(body[r.K_CODE]) for kind, body in h.journal() if kind == "NOTICE"]


@pytest.mark.parametrize("languages", [("en", "zh"), ("zh", "en")], ids=["en", "zh"])
def test_a_pc_is_paired_and_known_from_then_on(languages: tuple[str, str]) -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        assert (await pc.ask("hello"))[1] == []
        assert await pc.ask("pairs") == ("role", {})
        assert await pair(h, pc, "sync", "service") == ["sync", "service"]
        assert (await pc.ask("hello"))[1] == ["sync", "service"], "in the session that stands"
        (entry,) = (await pc.ask("pairs"))[1]
        assert entry[1] == fingerprint(pc.key.public) and entry[2] == "Office PC"
        assert entry[3] == ["sync", "service"] and entry[4] == entry[5] > 1_700_000_000
        await h.power_off()
        await pc.leave()
        await h.power_on()
        again = await pc_of(h).connect()
        assert (await again.ask("hello"))[1] == ["sync", "service"]
        await again.leave()

    play(story, languages=languages)


def test_outside_the_window_nobody_may_ask() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        assert await pc.ask("pair_ask", {1: ["sync"]}) == ("window", {})
        await window(h)
        await h.press("cancel")
        await h.until("idle")
        assert await pc.ask("pair_ask", {1: ["sync"]}) == ("window", {})
        await window(h)
        await h.when(lambda tree: "pc.nobody_asked" in h.keys_shown(), "the window's end")
        await h.press("enter")
        assert await pc.ask("pair_ask", {1: ["sync"]}) == ("window", {})
        assert await h.until("idle")

    play(story)


def test_a_wrong_supervisor_opens_no_window() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await page(h, "1")
        await h.until("secret")
        await h.press(*"000000", "enter")
        await h.when(lambda tree: "supervisor.wrong" in h.keys_shown(), "refused")
        assert await pc.ask("pair_ask", {1: ["sync"]}) == ("window", {})

    play(story)


@pytest.mark.parametrize("at", ["pair_asks", "pair_roles", "pair_code"])
def test_the_merchant_refuses(at: str) -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await window(h)
        typed = aio.Event()

        async def never() -> str:
            await typed.wait()
            return "000000"

        stream = aio.spawn("pairing", pc.pair(["sync"], never))
        await h.until("pair_asks")
        while h.screen["screen"] != at:
            await h.press("enter")
            await aio.sleep_ms(300)
        await h.press("cancel")
        await h.until("pair_wait")
        typed.set()
        assert await stream.join() == ("refused", {})
        await h.press("cancel")
        await h.until("idle")
        assert (await pc.ask("hello"))[1] == []
        assert await pc.ask("pair_ask", {1: ["sync"]}) == ("window", {})

    play(story)


def test_three_wrong_codes_lock_for_longer_each_time_and_over_a_restart() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await window(h)
        for left in (2, 1, 0):
            pairing = aio.spawn("pairing", pc.pair(["sync"], wrong(h)))
            await agree(h)
            assert await pairing.join() == ("code", {1: left})
            await h.when(lambda tree: "pc.wrong" in h.keys_shown(), "told")
            await h.press("enter")
            if left:
                await h.until("pair_wait")
        await h.when(lambda tree: "pc.locked" in h.keys_shown(), "locked")
        await h.press("enter")
        await h.until("idle")
        assert notices(h).count("pair_wrong_code") == 3
        assert await pc.ask("pair_ask", {1: ["sync"]}) == ("window", {})
        await page(h, "1")
        await h.when(lambda tree: "pc.locked" in h.keys_shown(), "locked")
        await h.press("enter")
        await h.until("idle")
        await pc.leave()
        await h.power_off()
        await aio.sleep_ms(600_000)
        await h.power_on()
        await page(h, "1")
        await h.when(lambda tree: "pc.locked" in h.keys_shown(), "locked after a restart as well")
        await h.press("enter")
        await h.until("idle")
        await aio.sleep_ms(60_000)
        again = await pc_of(h).connect()
        await window(h)
        for _ in range(3):
            pairing = aio.spawn("pairing", again.pair(["sync"], wrong(h)))
            await agree(h)
            await pairing.join()
            await h.when(lambda tree: "pc.wrong" in h.keys_shown(), "told")
            await h.press("enter")
            await aio.sleep_ms(300)
        await h.until("message")
        await h.press("enter")
        await h.until("idle")
        await aio.sleep_ms(61_000)
        await page(h, "1")
        await h.when(lambda tree: "pc.locked" in h.keys_shown(), "twice as long now")
        await h.press("enter")
        await h.until("idle")
        await aio.sleep_ms(61_000)
        assert await pair(h, again, "sync") == ["sync"]
        await window(h)  # a success made them forgotten
        await h.press("cancel")
        await h.until("idle")
        await again.leave()

    play(story)


def test_power_cuts_buy_no_codes() -> None:
    async def story(h: Handheld) -> None:
        for _ in range(3):
            pc = await pc_of(h).connect()
            await window(h)
            pairing = aio.spawn("pairing", pc.pair(["sync"], aio.Event().wait))
            await agree(h)
            await h.until("pair_code")
            await h.power_off()
            pairing.cancel()
            await pc.leave()
            await h.power_on()
        await page(h, "1")
        await h.when(lambda tree: "pc.locked" in h.keys_shown(), "locked")

    play(story)


def test_revoked_on_the_keypad_while_it_is_there() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await pair(h, pc, "service")
        await page(h, "2")
        await h.until("choose")
        await h.press("enter")
        await h.until("pair")
        await h.press("enter")
        await h.until("question")
        await h.press("enter")
        await code(h)
        await h.when(lambda tree: "pc.revoked" in h.keys_shown(), "revoked")
        await pc.over.wait()
        assert pc.reason == packets.REVOKED
        await pc.leave()
        await h.press("enter")
        await h.when(lambda tree: "pc.nobody" in h.keys_shown(), "none left")
        await h.press("enter")
        await h.until("idle")
        again = await pc_of(h).connect()
        assert (await again.ask("hello"))[1] == []
        assert await again.ask("pairs") == ("role", {})
        assert notices(h)[-2:] == ["pc_paired", "pc_revoked"]
        await again.leave()

    play(story)


def test_two_pcs_revoke_themselves_and_with_the_role_each_other() -> None:
    async def story(h: Handheld) -> None:
        one = await pc_of(h, 1, "One").connect()
        await pair(h, one, "service")
        await one.leave()
        two = await pc_of(h, 2, "Two").connect()
        await pair(h, two, "sync")
        of_one, of_two = fingerprint(one.key.public), fingerprint(two.key.public)
        assert await two.ask("pair_revoke", {1: of_one}) == ("role", {})
        assert await two.ask("pair_revoke", {1: of_two}) == {}
        await two.over.wait()
        assert two.reason == packets.REVOKED
        await two.leave()
        stranger = await pc_of(h, 2).connect()
        assert (await stranger.ask("hello"))[1] == []
        assert await stranger.ask("pair_revoke", {1: of_one}) == ("role", {})
        assert await stranger.ask("pair_revoke", {1: of_two}) == {}, "it has none already"
        await stranger.leave()
        first = await pc_of(h, 1, "One").connect()
        assert (await first.ask("pair_revoke", {1: of_two}))[0] == "arguments"
        assert await first.ask("pair_revoke", {1: of_one}) == {}
        await first.leave()

    play(story)


def test_what_is_not_of_the_pairings_table_ends_the_attempt() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await window(h)
        for roles in ([], ["root"], ["sync", "sync"], [1], ["sync"] * 5):
            code, _ = await pc.ask("pair_ask", {1: roles})
            assert code == "arguments", roles
        assert h.screen["screen"] == "pair_wait"

        def low_order(step: str, value: Any) -> Any:
            return {1: bytes(32), 2: value[2]} if step == "proof" else value

        def short(step: str, value: Any) -> Any:
            return {1: bytes(15)} if step == "challenge" else value

        for spoil in (short, low_order):
            pairing = aio.spawn("pairing", pc.pair(["sync"], shown(h), spoil))
            await agree(h)
            answer = await pairing.join()
            assert answer[0] in ("arguments", "code"), answer
            await h.until("message")
            await h.press("enter")
            await h.until("pair_wait")
        assert (await pc.ask("hello"))[1] == []

    play(story)


def test_a_long_name_and_every_role_fit_the_panel() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h, 1, "W" * 40).connect()
        roles = ["sync", "register", "service", "update", "key-load"]
        assert await pair(h, pc, *roles) == roles
        await page(h, "2")
        await h.until("choose")
        await h.press("enter")
        await h.until("pair")
        await pc.leave()

    play(story)


def test_a_table_that_somebody_edited_is_named_and_nobody_is_paired() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await pair(h, pc, "service")
        await pc.leave()
        await h.power_off()
        kept = bytearray(h.disk.snapshot()["pairs.cbor"])
        kept[-1] ^= 1
        h.put("pairs.cbor", bytes(kept))
        await h.power_on()
        again = await pc_of(h).connect()
        assert (await again.ask("hello"))[1] == []
        assert notices(h)[-1] == "pairs_lost"
        await again.leave()
        fresh = await pc_of(h).connect()
        assert await pair(h, fresh, "sync") == ["sync"]
        await fresh.leave()

    play(story)


def test_an_open_case_ends_the_session_and_the_pairs() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await pair(h, pc, "service")
        h.rack.tamper.set(False)
        await pc.over.wait()
        assert pc.reason == packets.REVOKED
        await pc.leave()
        await h.power_off()
        h.rack.tamper.set(True)
        await h.power_on("")
        await aio.sleep_ms(20_000)
        silent = PcSide(RackCable(h.rack.pc))
        await silent.connect()
        assert silent.events == ["ended"], "without its key the terminal says nothing"
        await silent.leave()

    play(story)


def test_a_cable_out_in_the_middle_leaves_the_window_usable() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await window(h)
        pairing = aio.spawn("pairing", pc.pair(["sync"], shown(h)))
        await h.until("pair_asks")
        h.rack.pc.unplugged = True
        await aio.sleep_ms(3000)
        h.rack.pc.unplugged = False
        await h.press("enter")
        await h.until("pair_roles")
        await h.press("enter")
        assert await pairing.join() == ["sync"], "the session was resumed"
        await h.until("pair_done")

    play(story)


def test_a_flood_slows_no_payment_and_a_payment_opens_no_window() -> None:
    async def paid(h: Handheld) -> int:
        began = aio.ticks_ms()
        await h.pay("1234", "approve", "result")
        took = aio.elapsed_ms(began)
        await h.back_to_idle()
        return took

    async def story(h: Handheld) -> None:
        alone = await paid(h)
        pc = await pc_of(h).connect()
        over = aio.Event()
        answers: list[Any] = []

        async def flood() -> None:
            while not over.is_set():
                answers.append(await pc.ask("hello"))
                answers.append(await pc.ask("pair_ask", {1: ["sync"]}))

        tasks = [aio.spawn("flood", flood()) for _ in range(4)]
        beside = await paid(h)
        over.set()
        for task in tasks:
            await task.join()
        assert beside <= alone + 300, (alone, beside)
        assert len(answers) > 100
        assert all(one == ("window", {}) for one in answers[1::2] if isinstance(one, tuple))
        assert any(one[7] for one in answers if isinstance(one, dict)), "busy meanwhile"
        await pc.leave()

    play(story)


def test_a_paired_pc_has_the_terminal_for_itself_and_a_stranger_keeps_nobody_out() -> None:
    async def story(h: Handheld) -> None:
        await h.power_off()
        net = Cable()
        h.fitted = lambda wire: {"pc_net": Plug(net, 0)}
        await h.power_on()
        stranger = await PcSide(Plug(net, 1), 2, "Stranger").connect()
        assert (await stranger.ask("hello"))[1] == []
        pc = await pc_of(h).connect()
        await pair(h, pc, "sync", "service")
        assert (await stranger.ask("hello"))[1] == [], "his session stands, and is a stranger's"
        assert await stranger.ask("pairs") == ("role", {})
        await pc.leave()
        pc = await pc_of(h).connect()
        await stranger.leave()
        refused = PcSide(Plug(net, 1), 3)
        await refused.connect()
        assert refused.events == ["ended"] and refused.reason == packets.BUSY
        await refused.leave()
        await pc.leave()
        await aio.sleep_ms(500)
        late = await PcSide(Plug(net, 1), 3).connect()
        assert (await late.ask("hello"))[1] == []
        await late.leave()

    play(story)


def test_each_channel_has_its_own_code() -> None:
    """Two PCs at two pipes: the one that the merchant sees is the one that he pairs."""

    async def story(h: Handheld) -> None:
        await h.power_off()
        net = Cable()
        h.fitted = lambda wire: {"pc_net": Plug(net, 0)}
        await h.power_on()
        other = await PcSide(Plug(net, 1), 2, "Other PC").connect()
        pc = await pc_of(h).connect()
        await window(h)
        asking = aio.spawn("pairing", pc.pair(["sync"], shown(h)))
        await h.until("pair_asks")
        assert await other.ask("pair_ask", {1: ["service"]}) == ("busy", {})
        assert "Office PC" in h.text and fingerprint(pc.key.public)[:4] in h.text
        await agree(h)
        assert await asking.join() == ["sync"]
        assert (await other.ask("hello"))[1] == []
        await pc.leave()
        await other.leave()

    play(story)


def test_a_terminal_that_stops_says_so_and_ends_what_it_was_asked() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        await pair(h, pc, "sync")
        watching = pc.open("watch", {1: ["status"]})
        await aio.sleep_ms(500)
        assert h._task is not None
        h._task.cancel()  # as SIGTERM does
        await pc.over.wait()
        assert pc.reason == packets.STOPPING
        kind, value = (await pc.rest(watching))[-1]
        assert kind == ERROR and value == ["lost", {}]
        await aio.sleep_ms(6000)
        assert h._task.done()
        assert h.journal()[-1][0] == "ENDED", "after the link: nothing is journalled behind it"
        await pc.leave()

    play(story)
