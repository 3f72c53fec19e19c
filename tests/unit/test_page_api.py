"""The page's HTTP and WebSocket interface: what it gives, and what it refuses."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from firmware.drivers import stripe_tracks
from firmware.services import reader_test
from host_tools.emulator.actions import MAX_REQUEST, RULES
from host_tools.emulator.machine import Machine
from host_tools.emulator.page import Page
from host_tools.http_guard import HEADERS
from host_tools.quiet_uvicorn import QuietServer

PPSE_TOLD = "325041592E5359532E4444463031 2PAY.SYS.DDF01"
HERE = "http://127.0.0.1:8370"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose terminal stays off: the page alone is under test."""
    made = Machine(tmp_path_factory.mktemp("machine"), seed=1)
    yield made
    asyncio.run(made.stop())


@pytest.fixture(scope="module")
def page(machine: Machine) -> Page:
    return Page(machine)


@pytest.fixture
def client(page: Page) -> TestClient:
    return TestClient(page.app, base_url=HERE)


def test_the_page_and_its_parts_come_with_the_headers_that_keep_others_out(
    client: TestClient,
) -> None:
    for path in ("/", "/page.js", "/page.css", "/state"):
        answer = client.get(path)
        assert answer.status_code == 200
        for name, value in HEADERS.items():
            assert answer.headers[name.decode()] == value.decode()
    assert "frame-ancestors 'none'" in client.get("/").headers["content-security-policy"]


def test_what_is_worked_is_closed_until_the_page_is_greeted(client: TestClient) -> None:
    page = client.get("/").text
    assert re.findall(r'<section class="(\w+)"[^>]* inert>', page) == ["bench", "side"]


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/page.js", "/page.css"):
        text = client.get(path).text
        assert "http://" not in text and "https://" not in text and "//cdn" not in text


@pytest.mark.parametrize("path", ["/../machine.py", "/%2e%2e/machine.py", "/..%2fpage.py", "/x"])
def test_no_file_outside_the_folder_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8370", "127.0.0.1.evil.example", "", "127.0.0.1:",
        "127.0.0.1:80:90", "127.0.0.1:x@evil.example", "localhost/", " localhost", "127.1",
    ],
)  # fmt: skip
def test_a_name_that_is_not_loopback_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/state"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403 and "127.0.0.1" in answer.json()["error"]
    answer = client.post("/do", json={"do": "remove"}, headers={"Host": host})
    assert answer.status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://127.0.0.1:8370/live", headers={"Host": host}),
    ):
        pass


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8370"]
)
def test_another_origin_is_refused(client: TestClient, machine: Machine, origin: str) -> None:
    answer = client.post(
        "/do", json={"do": "insert", "card": "approve"}, headers={"Origin": origin}
    )
    assert answer.status_code == 403
    assert machine.inserted == ""
    assert client.get("/state", headers={"Origin": origin}).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://127.0.0.1:8370/live", headers={"Origin": origin}),
    ):
        pass


def test_the_own_origin_is_welcome(client: TestClient) -> None:
    answer = client.post("/do", json={"do": "remove"}, headers={"Origin": HERE})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_could_send_is_refused(client: TestClient, kind: str) -> None:
    answer = client.post("/do", content='{"do": "power_cut"}', headers={"Content-Type": kind})
    assert answer.status_code == 415


def post(client: TestClient, body: bytes) -> Any:
    return client.post("/do", content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b'"do"', b"\xff\xfe", b'{"do": 1}', b'{"do": "fly"}',
        b'{"do": "press"}', b'{"do": "press", "key": []}', b'{"do": "press", "keys": []}',
        b'{"do": "press", "keys": "12"}', b'{"do": "press", "key": "13"}', b'{"do": "key_up"}',
        b'{"do": "insert"}', b'{"do": "insert", "card": "../x"}', b'{"do": "insert", "card": {}}',
        b'{"do": "switch"}', b'{"do": "switch", "name": "battery", "value": 101}',
        b'{"do": "switch", "name": "battery", "value": true}',
        b'{"do": "switch", "name": "battery", "value": 1e400}',
        b'{"do": "switch", "name": "network", "value": 1}',
        b'{"do": "switch", "name": "warp", "value": true}', b'{"do": "rule"}',
        b'{"do": "rule", "name": "\xc2\xb2"}', b'{"do": "rule", "kind": "decline"}',
        b'{"do": "rule", "kind": "decline", "code": "51", "times": 0}',
        b'{"do": "rule", "kind": "late", "ms": -1}',
        b'{"do": "rule", "kind": "late", "ms": 5, "self": 1}',
        b'{"do": "rule", "kind": "late", "ms": 5, "x": 1}',
        b'{"do": "rule", "kind": "decline", "code": "00"}',
        b'{"do": "rule", "kind": [], "code": ""}',
        b'{"do": "wait"}', b'{"do": "wait", "screen": []}', b'{"do": "wait", "screen": [1]}',
        b'{"do": "wait", "screen": "idle", "seconds": 100000}',
        b'{"do": "wait", "screen": "idle", "seconds": 0}', b'{"do": "tear"}', b"[" * 4000,
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_with_one_line(client: TestClient, body: bytes) -> None:
    answer = post(client, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error and "\n" not in error and "Traceback" not in error


def test_a_screen_that_there_is_not_is_refused_at_once(client: TestClient) -> None:
    answer = post(client, b'{"do": "wait", "screen": ["idle", "idel"], "seconds": 100}')
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error.startswith("no screen 'idel'; known: ")
    assert {"idle", "present_card", "pin", "result", "off"} <= set(
        error.split("known: ")[1].split(", ")
    )


def test_a_terminal_that_is_off_shows_nothing(client: TestClient, machine: Machine) -> None:
    machine.rack.debug.transfer(1, b'{"screen": "idle", "nodes": []}')
    state = client.get("/state").json()
    assert state["screen"] == {"screen": "off", "nodes": []}
    assert state["powered"] is False
    assert post(client, b'{"do": "wait", "screen": "off"}').status_code == 200


def test_tear_out_is_armed_and_called_off(client: TestClient, machine: Machine) -> None:
    client.post("/do", json={"do": "insert", "card": "approve"})
    assert client.post("/do", json={"do": "tear"}).json()["tear"] is True
    assert client.post("/do", json={"do": "tear", "value": False}).json()["tear"] is False
    client.post("/do", json={"do": "tear"})
    client.post("/do", json={"do": "remove"})
    assert client.post("/do", json={"do": "insert", "card": "approve"}).json()["tear"] is False
    assert client.post("/do", json={"do": "tear", "value": 1}).status_code == 400
    client.post("/do", json={"do": "remove"})


def test_the_kernels_trace_comes_as_lines_and_without_a_number(
    client: TestClient, machine: Machine
) -> None:
    pan = machine.deck.cards["approve"].pan
    entries: list[dict[str, Any]] = [
        {"t": "bit", "rule": "B3 10.5 h", "word": "TVR", "byte": 3, "bit": 3, "name": "online PIN"},
        {"t": "rule", "rule": "house a", "text": pan},
        {"t": "stage", "name": "cvm", "tvr": "00zz", "tsi": ""},
        {"t": "stage", "name": "cvm", "tvr": "0000040000", "tsi": "E800"},
        {"t": "outcome", "outcome": "approved", "reason": "online", "tvr": "0000040000"},
        {"t": "apdu", "c": "00B2010C00", "r": "", "sw": "9000", "us": 1},
        {"t": "news"},
    ]
    heard: list[Any] = []
    machine.listeners.append(heard.append)
    for entry in entries:
        machine.rack.debug.transfer(2, json.dumps(entry).encode())
    machine.listeners.remove(heard.append)
    answer = client.get("/trace")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line)["t"] for line in answer.text.splitlines()] == [e["t"] for e in entries]
    assert pan not in answer.text and pan not in json.dumps(heard)
    assert [entry["kind"] for entry in heard] == ["emv"] * 5
    assert heard[0]["title"] == "TVR byte 3 bit 3" and "B3 10.5 h" in heard[0]["text"]
    assert ["  byte 3 bit 3", "Online PIN entered (online CVM captured)"] in heard[3]["fields"]


def test_an_oversized_request_is_refused(client: TestClient) -> None:
    assert post(client, b'{"do": "' + b"x" * MAX_REQUEST + b'"}').status_code == 413


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    wish=st.dictionaries(
        st.sampled_from(["do", "key", "keys", "card", "name", "value", "kind", "screen", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9)
            | st.sampled_from(["press", "insert", "switch", "rule", "tear", "decline", "battery"]),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        ),
    )
)  # fmt: skip
def test_no_request_breaks_the_server(client: TestClient, wish: dict[str, Any]) -> None:
    assert post(client, json.dumps(wish).encode()).status_code in (200, 400)


def test_a_card_goes_in_and_out(client: TestClient) -> None:
    assert client.post("/do", json={"do": "insert", "card": "decline"}).json()["card"] == "decline"
    assert client.get("/state").json()["card"] == "decline"
    assert client.post("/do", json={"do": "remove"}).json()["card"] == ""


def _do(client: TestClient, do: str, **wish: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/do", json={"do": do, **wish}).json()
    return answer


def test_a_card_is_tapped_and_taken_away(client: TestClient, machine: Machine) -> None:
    assert _do(client, "tap", card="approve")["tapped"] == "approve"
    (field,) = machine.rack.nfc.cards
    assert _do(client, "tap", card="approve")["tapped"] == "approve"
    assert machine.rack.nfc.cards == [field], "the same card stays"
    assert _do(client, "tap", card="two-apps")["tapped"] == "two-apps"
    assert len(machine.rack.nfc.cards) == 1, "one hand"
    inserted = _do(client, "insert", card="two-apps")
    assert (inserted["card"], inserted["tapped"]) == ("two-apps", "")
    assert "slot" in _do(client, "tap", card="two-apps")["error"]
    plain = next(n for n, c in machine.deck.cards.items() if c.fields["contactless"] == "none")
    assert "antenna" in _do(client, "tap", card=plain)["error"]
    assert "no card" in _do(client, "tap", card="nowhere")["error"]
    _do(client, "tap", card="approve")
    removed = _do(client, "remove")
    assert (removed["card"], removed["tapped"]) == ("", "")


def test_a_tap_that_is_only_looked_at_is_not_told(machine: Machine) -> None:
    told: list[dict[str, Any]] = []
    machine.listeners.append(told.append)
    machine.tap_card("approve")
    field = machine.rack.nfc.cards[0]
    for _ in range(3):
        assert field.answers("A")
        field.lose_power()
    assert [entry["title"] for entry in told] == ["card tapped"]
    assert field.answers("A")
    answer, _ = field.chip.exchange(reader_test.PPSE)
    assert answer[-2:] == b"\x90\x00"
    assert [entry["title"] for entry in told] == ["card tapped", "TAP", "SELECT"]
    assert ["command data", PPSE_TOLD] in told[-1]["fields"]
    assert told[-1]["text"].startswith("2PAY.SYS.DDF01")
    machine.lift()
    machine.listeners.remove(told.append)


def test_a_swipe_types_track_2_and_a_scan_says_its_code(
    client: TestClient, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = machine.deck.cards["approve"]
    typed: list[str] = []
    monkeypatch.setattr(machine.rack.swipe, "type", typed.append)
    _do(client, "swipe", card="approve")
    (track,) = typed
    assert stripe_tracks.parse(bytearray(track.strip().encode()), False, 0).pan() == (
        card.pan.encode()
    )
    scanned: list[bytes] = []
    monkeypatch.setattr(machine.rack.scanner, "feed", scanned.append)
    _do(client, "scan", text="6901234567892")
    _do(client, "scan", text="pay 1")
    assert scanned == [b"]E06901234567892\r", b"]Q1pay 1\r"]
    for wrong in ("", "a" * 1025, "a\r]E0", "\n"):
        assert "printable" in _do(client, "scan", text=wrong)["error"]


def test_a_card_that_is_in_is_not_put_in_again(client: TestClient, machine: Machine) -> None:
    client.post("/do", json={"do": "insert", "card": "approve"})
    client.post("/do", json={"do": "tear"})
    heard: list[Any] = []
    machine.listeners.append(heard.append)
    assert client.post("/do", json={"do": "insert", "card": "approve"}).json()["tear"] is True
    assert heard == []
    client.post("/do", json={"do": "insert", "card": "decline"})
    machine.listeners.remove(heard.append)
    assert [(entry["title"], entry["text"]) for entry in heard] == [("card inserted", "decline")]
    client.post("/do", json={"do": "remove"})


@pytest.mark.parametrize("name", ["network", "paper", "cover", "tamper", "mains"])
def test_switches_move(client: TestClient, name: str) -> None:
    for value in (True, False, True, name not in ("cover", "tamper")):
        wish = {"do": "switch", "name": name, "value": value}
        assert client.post("/do", json=wish).json()[name] is value


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_the_page_is_one_of_the_bank(
    client: TestClient, machine: Machine, rule: tuple[str, str, str, dict[str, Any]]
) -> None:
    machine.acquirer.rules.clear()
    answer = client.post("/do", json={"do": "rule", "name": rule[0]})
    assert answer.json()["rules_waiting"] == 1
    machine.acquirer.rules.clear()


def test_a_script_may_name_any_rule_of_the_bank(client: TestClient, machine: Machine) -> None:
    wish = {"do": "rule", "kind": "decline", "code": "05", "amount": 100}
    assert client.post("/do", json=wish).status_code == 200
    assert machine.acquirer.rules.waiting()[0]["plan"] == {"decline": "05"}
    machine.acquirer.rules.clear()


def test_the_live_socket_greets_with_everything_and_no_clear_number(
    client: TestClient, machine: Machine
) -> None:
    machine.note("before")
    with client.websocket_connect("ws://127.0.0.1:8370/live", headers={"Origin": HERE}) as socket:
        seen: dict[str, Any] = {}
        while "trace" not in seen:
            message = socket.receive_json()
            seen[message["type"]] = message
        assert set(seen) >= {"hello", "frame", "lamps", "state", "ledger", "screen", "paper"}
        text = json.dumps(seen)
        for spec in machine.deck.cards.values():
            assert spec.pan not in text
        socket.send_text('{"do": "insert", "card": "sda"}')
        while True:
            message = socket.receive_json()
            if message["type"] == "trace" and message["entry"]["title"] == "card inserted":
                break
        socket.send_bytes(b"\xff\xff")
        socket.send_text('{"do": ["x"]}')
        refused = 0
        while refused < 2:
            message = socket.receive_json()
            refused += message["type"] == "trace" and message["entry"]["title"] == "refused"
    machine.remove()


def test_a_frame_that_is_not_utf_8_is_no_error_of_the_server(
    page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a real socket: no client library sends such a frame."""

    async def main() -> bytes:
        server = QuietServer(page.app, websockets=True)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\x82\0\0\0\0\xff\xfe")
        heard = await reader.read()
        writer.close()
        server.should_exit = True
        await serving
        return heard

    assert asyncio.run(main()).endswith(b"\x88\x02" + (1007).to_bytes(2, "big"))
    assert capsys.readouterr().err == ""


def test_the_line_that_says_why_a_terminal_ended_is_kept(tmp_path: Path) -> None:
    tell = "till: sale: defect 1A2B: KeyError\\n  File x.py, line 3, in y"

    async def main() -> tuple[int, str] | None:
        machine = Machine(tmp_path, interpreter=("sh", "-c", f"printf '{tell}\\n' >&2; exit 70"))
        try:
            await machine.start()
            while machine.ended is None:
                await asyncio.sleep(0.01)
            return machine.ended
        finally:
            await machine.stop()

    assert asyncio.run(main()) == (70, "till: sale: defect 1A2B: KeyError")


def test_a_key_is_lifted_when_its_browser_leaves(client: TestClient, machine: Machine) -> None:
    with client.websocket_connect("ws://127.0.0.1:8370/live") as socket:
        socket.send_text('{"do": "key_down", "key": "5"}')
        socket.send_text('{"do": "fly"}')  # answered in order: the key is down by then
        while True:
            message = socket.receive_json()
            if message["type"] == "trace" and message["entry"]["title"] == "refused":
                break
        assert machine.rack.keys.pressed() == ["5"]
    assert machine.rack.keys.pressed() == []


def test_paper_is_sent_once_and_starts_afresh_when_torn(page: Page, machine: Machine) -> None:
    from host_tools.emulator.page import Viewer

    viewer = Viewer([])
    page._viewers.add(viewer)
    paper = machine.rack.printer.paper

    def strips() -> list[tuple[bool, str]]:
        found = []
        for _ in range(8):  # the throttle lets some looks pass
            page.look()
        while not viewer.queue.empty():
            message = viewer.queue.get_nowait()
            if message is not None and message["type"] == "paper":
                found.append((message["reset"], "".join(s["text"] for s in message["strips"])))
        return found

    strips()
    paper.add([1, 2, 3], "first")
    assert strips() == [(False, "first")]
    paper.add([4], "second")
    assert strips() == [(False, "second")]
    machine.tear_paper()
    assert strips() == [(True, "")]
    paper.add([5], "third")
    assert strips() == [(False, "third")]
    page._viewers.discard(viewer)


def test_a_browser_that_does_not_read_is_hung_up_on(page: Page, machine: Machine) -> None:
    from host_tools.emulator.page import QUEUE, Viewer

    viewer = Viewer([])
    page._viewers.add(viewer)
    for _ in range(QUEUE + 5):
        machine.note("noise")
    assert viewer not in page._viewers
    assert viewer.queue.qsize() <= QUEUE + 3


def test_a_folder_serves_one_emulator(machine: Machine, tmp_path: Path) -> None:
    from host_tools.errors import UserError

    with pytest.raises(UserError, match="in use by another emulator"):
        Machine(machine.folder)
    with pytest.raises(UserError, match="real hardware"):
        Machine(tmp_path, "rpi-zero-2w")
    with pytest.raises(UserError, match="no board or file"):
        Machine(tmp_path, "nope")


# ---- links --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """As ``machine``, with three links."""
    made = Machine(tmp_path_factory.mktemp("linked"), "virtual-links", seed=1)
    yield made
    asyncio.run(made.stop())


def test_each_condition_of_each_link_is_felt_and_ends(linked: Machine) -> None:
    client = TestClient(Page(linked).app, base_url=HERE)
    rack = linked.rack

    def chips() -> tuple[Any, ...]:
        point, modem = rack.radio.air[0], rack.modem
        return (
            rack.net.up, rack.net.stalled, point.on, point.key, point.gives_address, point.dbm,
            rack.wlan_net.silent, modem.sim, modem.faults, modem.rsrp,
        )  # fmt: skip

    linked.switch_network(False)
    linked.switch_network(True)
    well = chips()
    seen = [well]
    for link in linked.links.kinds():
        wishes = [{"condition": one} for one in link["conditions"][1:]]
        wishes += [{"signal": one} for one in link["signals"][1:]]
        for wish in wishes:
            state = client.post("/do", json={"do": "link", "name": link["name"], **wish}).json()
            (told,) = [one for one in state["links"] if one["name"] == link["name"]]
            assert wish.items() <= told.items()
            assert state["network"] is True
            assert chips() not in seen, (link["name"], wish)
            seen.append(chips())
            back = {"signal": "strong"} if "signal" in wish else {"condition": "well"}
            client.post("/do", json={"do": "link", "name": link["name"], **back})
            assert chips() == well, (link["name"], wish)
    assert len(seen) == 1 + 2 + 4 + 7 + 2 + 2


def test_the_network_switch_takes_every_link(linked: Machine) -> None:
    client = TestClient(Page(linked).app, base_url=HERE)
    state = client.post("/do", json={"do": "switch", "name": "network", "value": False}).json()
    assert state["network"] is False
    assert [one["condition"] for one in state["links"]] == ["unplugged", "gone", "no_service"]
    state = client.post("/do", json={"do": "switch", "name": "network", "value": True}).json()
    assert state["network"] is True
    assert [one["condition"] for one in state["links"]] == ["well"] * 3


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"name": "fax", "condition": "well"}, "cable, wifi, mobile"),
        ({"name": "wifi", "condition": "unplugged"}, "gone, password"),
        ({"name": "wifi", "signal": "well"}, "strong, weak, faint"),
        ({"name": "cable", "signal": "weak"}, "of no cable"),
        ({"name": "wifi"}, "condition"),
        ({"condition": "well"}, "name"),
        ({"do": "wait", "link": "fax", "state": "up"}, "cable, wifi, mobile"),
        ({"do": "wait", "link": "wifi", "state": "well"}, "up, degraded, down, carries"),
        ({"do": "wait", "link": "wifi", "state": "up", "seconds": 0}, "wifi is not up"),
    ],
)
def test_a_wrong_wish_of_a_link_is_named(
    linked: Machine, machine: Machine, wish: dict[str, Any], word: str
) -> None:
    client = TestClient(Page(linked).app, base_url=HERE)
    answer = client.post("/do", json={"do": "link", **wish})
    assert answer.status_code == 400 and word in answer.json()["error"]
    alone = TestClient(Page(machine).app, base_url=HERE)
    assert alone.get("/state").json()["links"] == []
    answer = alone.post("/do", json={"do": "link", "name": "cable", "condition": "well"})
    assert answer.status_code == 400 and "has one link" in answer.json()["error"]


def test_what_the_terminal_tells_of_its_links_is_told_on(linked: Machine) -> None:
    heard: list[Any] = []
    linked.listeners.append(heard.append)
    link = {"name": "wifi", "kind": "wifi", "state": "up", "cause": "", "bars": 3}
    step = {"link": "wifi", "what": "radio", "cause": "no_service", "result": "", "took_ms": 3120}
    report = {"active": "wifi", "links": [link], "step": step}
    linked.rack.debug.transfer(3, json.dumps(report).encode())
    cable, wifi, _ = linked.links.state()
    assert (wifi["state"], wifi["carries"]) == ("up", True)
    assert (cable["state"], cable["carries"]) == ("", False)
    linked.rack.debug.transfer(3, json.dumps({**report, "step": None}).encode())
    linked.listeners.remove(heard.append)
    (told,) = [(entry["title"], entry["text"]) for entry in heard]
    assert told == ("link step", "wifi: radio (no_service), 3.1 s")
    linked.rack.lose_power()
    assert {one["state"] for one in linked.links.state()} == {""}
