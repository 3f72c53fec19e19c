"""Settings of links that change while the links are watched, side by side and in turn."""

from firmware import aio
from firmware.hal.bearer import UP
from firmware.hal.wifi import OPEN
from host_tools.emulator.chips.wlan_radio import AccessPoint
from tests.unit.test_links_in_turn import TLS, TURN_MS, Board, connected, on_a_board


def test_a_link_whose_settings_change_has_the_next_turn() -> None:
    async def story(board: Board) -> None:
        await board.until(board.wifi, UP, 10_000)
        stream = await board.links.connect("bank.test", 443, TLS, 20_000)
        board.links.again(board.mobile)
        await aio.sleep_ms(30_000)
        assert board.wifi.state == UP, "a payment's link was taken from it"
        await stream.close()
        await board.until(board.mobile, UP, 90_000)
        assert await connected(board) == "mobile"
        # Back to the better one after its turn, as after any other.
        await board.until(board.wifi, UP, TURN_MS + 60_000)

    on_a_board(story)


def test_an_order_that_changes_counts_from_the_next_turn() -> None:
    async def story(board: Board) -> None:
        await board.until(board.wifi, UP, 10_000)
        board.mobile.metered = False
        board.links.prefer(["mobile"])
        assert (board.mobile.rank, board.wifi.rank) == (0, 1)
        board.links.again(board.wifi)
        await board.until(board.wifi, UP, 30_000)
        await board.until(board.mobile, UP, TURN_MS + 90_000)
        await aio.sleep_ms(3 * TURN_MS)
        assert board.mobile.state == UP, "the first of the order does not take turns"

    on_a_board(story)


def test_the_link_in_turn_begins_anew_with_its_new_network() -> None:
    async def story(board: Board) -> None:
        board.rack.radio.air.append(AccessPoint("Cafe", "", security=0))
        await board.until(board.wifi, UP, 10_000)
        await board.wifi.bearer.join(b"Cafe", OPEN, "", 20_000)  # type: ignore[attr-defined]
        board.links.again(board.wifi)
        await board.until(board.wifi, UP, 30_000)
        assert (await board.wifi.bearer.status()).operator == "Cafe"

    on_a_board(story)
