"""Webhooks: from a terminal's journal over the outbox to a receiver."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from host_tools.command_line import run
from host_tools.commands.api import app
from host_tools.errors import UserError
from host_tools.rest import webhooks
from host_tools.rest.addresses import allowed_address, networks
from host_tools.rest.webhooks import GIVEN_UP_S, Deliverer
from host_tools.store import rebuild
from host_tools.store.database import Store
from host_tools.store.sync import sync
from tests.support import filled_store
from tests.support.hook_receiver import Receiver, listening
from tests.support.journal_terminal import JournalTerminal

NOW = 1_800_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = filled_store.opened(tmp_path / "store.sqlite")
    yield opened
    opened.close()


def subscribed(store: Store, url: str, *events: str, allow: tuple[str, ...] = ()) -> Any:
    return store.change(lambda c: webhooks.subscribe(c, url, events, allow, NOW))


def listed(store: Store) -> Any:
    with store.read() as connection:
        return webhooks.listed(connection)


def synced(store: Store, terminal: JournalTerminal) -> None:
    asyncio.run(sync(store, terminal, clock=lambda: NOW))


def test_what_is_synced_is_told_once_and_in_order(store: Store) -> None:
    async def story() -> None:
        receiver = Receiver("", NOW)
        async with listening(receiver) as port:
            url = f"http://127.0.0.1:{port}/hook?a=1"
            number, receiver.secret = subscribed(store, url)
            only, _ = subscribed(store, url, "payment.reversed")
            terminal = JournalTerminal("T1")
            terminal.sales(3)
            await sync(store, terminal, clock=lambda: NOW)
            deliverer = Deliverer(store, now=lambda: NOW)
            while await deliverer.once():
                pass
            await sync(store, terminal, clock=lambda: NOW)
            rebuild.rebuild(store, NOW)
            assert await deliverer.once() == 0
        assert receiver.asked == [b"POST /hook?a=1 HTTP/1.1"] * 3 and receiver.refused == []
        told = list(receiver.taken.values())
        assert [one["event"] for one in told] == ["payment.approved"] * 3
        ids = [one["payment"]["id"] for one in told]
        assert (
            ids == sorted(ids, key=lambda one: int(one.rpartition("-")[2])) and len(set(ids)) == 3
        )
        assert isinstance(told[0]["payment"]["amount"], int)
        assert [(one["id"], one["waiting"]) for one in listed(store)] == [(number, 0), (only, 0)]

    asyncio.run(story())


def test_a_later_outcome_is_told_too(store: Store) -> None:
    subscribed(store, "https://shop.example/hook")
    terminal = JournalTerminal("T1")
    stan = terminal.sale(outcome="reverse")
    synced(store, terminal)
    assert events(store) == ["payment.unknown"]
    terminal.reverse(stan)
    synced(store, terminal)
    assert events(store) == ["payment.unknown", "payment.reversed"]


def events(store: Store) -> list[str]:
    with store.read() as connection:
        rows = connection.exec_driver_sql("SELECT event FROM webhook_delivery ORDER BY id")
        return [row.event for row in rows]


def test_a_sync_that_breaks_off_tells_nothing(store: Store, monkeypatch: Any) -> None:
    subscribed(store, "https://shop.example/hook")
    terminal = JournalTerminal("T1")
    terminal.sales(2)
    real = store.change

    def broken(work: Any) -> Any:
        def then_fails(connection: Any) -> Any:
            done = work(connection)
            if connection.exec_driver_sql("SELECT count(*) FROM webhook_delivery").scalar():
                raise UserError("the power goes")
            return done

        return real(then_fails)

    monkeypatch.setattr(store, "change", broken)
    with pytest.raises(UserError, match="power"):
        synced(store, terminal)
    monkeypatch.undo()
    assert events(store) == []
    synced(store, terminal)
    assert len(events(store)) == 2


def test_failures_wait_longer_keep_the_order_and_end_as_dead_letters(store: Store) -> None:
    clock = NOW
    answers: list[Any] = [500, 302, OSError("no route")]
    sent: list[tuple[str, int]] = []

    async def post(_url: str, _nets: Any, headers: dict[str, str], body: bytes) -> int:
        sent.append((json.loads(body)["payment"]["id"], clock - NOW))
        answer = answers.pop(0) if answers else 500
        if isinstance(answer, OSError):
            raise answer
        return int(answer)

    async def story() -> None:
        nonlocal clock
        number, _ = subscribed(store, "https://shop.example/hook")
        terminal = JournalTerminal("T1")
        terminal.sales(2)
        await sync(store, terminal, clock=lambda: NOW)
        deliverer = Deliverer(store, post, lambda: clock, lambda: 1.0)
        assert await deliverer.once() == 1 and await deliverer.once() == 0
        while not listed(store)[0]["dead"]:
            with store.read() as connection:
                clock = connection.exec_driver_sql(
                    "SELECT min(next_at) FROM webhook_delivery WHERE tries > 0"
                ).scalar_one()
            await deliverer.once()
        first = sent[0][0]
        assert {one for one, _ in sent} == {first}, "the second waits for the first"
        times = [at for _, at in sent]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert gaps[:4] == [5, 10, 20, 40] and gaps == sorted(gaps) and gaps[-1] == 3600
        assert GIVEN_UP_S - 3600 < times[-1] <= GIVEN_UP_S
        (hook,) = listed(store)
        assert hook["waiting"] == 1 and hook["dead"][0]["said"] == "HTTP 500"
        answers.append(200)
        assert await deliverer.once() == 1 and sent[-1][0] != first
        assert store.change(lambda c: webhooks.again(c, number, clock)) == 1
        answers.append(204)
        assert await deliverer.once() == 1 and sent[-1][0] == first
        assert listed(store)[0]["waiting"] == 0 and listed(store)[0]["dead"] == []

    asyncio.run(story())


def test_a_redirect_is_not_followed_and_old_or_forged_ones_are_refused(store: Store) -> None:
    async def story() -> None:
        receiver = Receiver("", NOW)
        async with listening(receiver) as port:
            url = f"http://127.0.0.1:{port}/hook"
            _, secret = subscribed(store, url)
            terminal = JournalTerminal("T1")
            terminal.sale()
            await sync(store, terminal, clock=lambda: NOW)
            receiver.secret = secret
            receiver.answers = ["302 Found\r\nLocation: /elsewhere", "nonsense"]
            clock = NOW
            deliverer = Deliverer(store, now=lambda: clock, draw=lambda: 0.0)
            assert await deliverer.once() == 1 and listed(store)[0]["waiting"] == 1
            clock += 60
            assert await deliverer.once() == 1 and listed(store)[0]["waiting"] == 1
            assert receiver.asked == [b"POST /hook HTTP/1.1"] * 2
            clock += 1000
            assert await deliverer.once() == 1
            assert receiver.refused == ["old"] and receiver.taken == {}
            body = b'{"event": "x"}'
            headers = {
                "OpenTill-Delivery": "9", "OpenTill-Timestamp": str(NOW),
                "OpenTill-Signature": webhooks.signature(secret, NOW, body),
            }  # fmt: skip
            assert await webhooks.post(url, [], headers, body) == 204 and "9" in receiver.taken
            await webhooks.post(url, [], {**headers, "OpenTill-Timestamp": str(NOW + 1)}, body)
            await webhooks.post(url, [], headers, body + b" ")
            assert receiver.refused == ["old", "signature", "signature"]

    asyncio.run(story())


def test_a_networks_own_services_are_not_reached() -> None:
    for inside in ("169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200",
                   "0.0.0.0", "224.0.0.1", "::ffff:169.254.169.254"):  # fmt: skip
        with pytest.raises(UserError, match="refused"):
            allowed_address(["203.0.113.5", inside], [], True)
        assert allowed_address([inside], networks(["0.0.0.0/0", "::/0"]), True) == inside
    with pytest.raises(UserError, match="https"):
        allowed_address(["192.168.1.5"], [], False)
    assert allowed_address(["192.168.1.5"], [], True) == "192.168.1.5"
    assert allowed_address(["127.0.0.1"], [], False) == "127.0.0.1"
    with pytest.raises(UserError, match="no address"):
        networks(["shop"])


@pytest.mark.parametrize(
    "url",
    ["ftp://a/", "https:///x", "https://u:p@a/", "shop", "https://a/ b", "https://a:x/",
     "https://ä/", "https://a/" + "x" * 500],
)  # fmt: skip
def test_only_whole_urls_are_subscribed(url: str) -> None:
    with pytest.raises(UserError):
        webhooks.place_of(url)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ran(*words: str) -> tuple[int, str, str]:
        place = f"sqlite:///{tmp_path / 'store.sqlite'}"
        code = run(app, "till api", ["webhook", *words, "--database", place])
        said = capsys.readouterr()
        return code, said.out, said.err

    assert ran("list")[0] == 1
    code, out, err = ran("add", "https://a.example/x", "--event", "payment.approved")
    assert code == 0 and len(out.strip()) == 64 and "not shown again" in err
    secret = out.strip()
    assert ran("add", "https://a.example/x", "--event", "payment.none")[0] == 1
    code, out, _ = ran("list")
    assert "1: https://a.example/x, 0 waiting, 0 given up" in out and secret not in out
    (hook,) = json.loads(ran("list", "--json")[1])["webhooks"]
    assert hook["events"] == ["payment.approved"] and "secret" not in hook
    assert ran("retry", "1")[0] == 0
    assert ran("remove", "1")[0] == 0 and ran("remove", "1")[0] == 1
    assert ran("list")[1] == "No webhooks.\n"
