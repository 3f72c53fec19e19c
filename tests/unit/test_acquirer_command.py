"""`till acquirer` and the control API."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from typer.testing import CliRunner

from host_tools.acquirer.control import control_app
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.ledger import Account
from host_tools.acquirer.place import Place
from host_tools.acquirer.server import control_server
from host_tools.commands.acquirer import app
from host_tools.emulator.deck import load
from host_tools.errors import UserError
from tests.support import virtual_time
from tests.support.acquirer_client import NOW, Client

ROOT = Path(__file__).parents[2]


@pytest.fixture
def acquirer() -> Iterator[InProcessAcquirer]:
    made = InProcessAcquirer(load(), now=lambda: NOW)
    yield made
    made.close()


class Browser:
    """Asks an app without a socket."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **more)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.request(method, "http://127.0.0.1" + path, **more)

        return asyncio.run(main())


@pytest.fixture
def http(acquirer: InProcessAcquirer) -> Browser:
    return Browser(control_app(acquirer.bank))


def test_control_shows_the_books(acquirer: InProcessAcquirer, http: Browser) -> None:
    client = Client(acquirer)
    client.sign_in()
    client.sale(amount=500)
    ledger = http.get("/ledger").json()
    assert ledger["approved_total"] == 500
    assert ledger["inconsistencies"] == []
    assert ledger["terminals"][0]["terminal_id"] == client.terminal_id
    assert [row["amount"] for row in http.get("/transactions").json()] == [500]
    assert http.get("/transactions?terminal=NOBODY").json() == []
    assert len(http.get("/messages?most=2").json()) == 2
    assert http.get("/messages?most=x").status_code == 400


def test_control_sets_rules_and_resets(acquirer: InProcessAcquirer, http: Browser) -> None:
    client = Client(acquirer)
    client.sign_in()
    rule = {"kind": "decline", "code": "51", "times": 1, "amount": 500}
    assert http.post("/rules", json=rule).json()[0]["plan"] == {"decline": "51"}
    assert client.sale(amount=500).code == "51"
    assert http.get("/rules").json() == []
    assert http.post("/reset", json={}).json() == {}
    assert http.get("/transactions").json() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"{}", b'{"kind": 5}', b'{"kind": "drop", "self": 1}', b"[" * 16_000]
    + [b'{"kind": "late", "ms": 1e3}', b'{"kind": "drop", "times": "x"}'],
)
def test_control_refuses_bad_rules(http: Browser, body: bytes) -> None:
    answer = http.post("/rules", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "drop", "amount": -1},
        {"kind": "drop", "amount": 10**12},
        {"kind": "drop", "amount": True},
        {"kind": "drop", "amount": 1.0},
        {"kind": "drop", "amount": "500"},
        {"kind": "drop", "times": 0},
        {"kind": "drop", "times": True},
        {"kind": "drop", "times": 10**9},
        {"kind": "drop", "mti": "9999"},
        {"kind": "drop", "mti": ["0200"]},
        {"kind": "drop", "stan": 2},
        {"kind": "drop", "stan": "12345"},
        {"kind": "drop", "pan": "1234 5678"},
        {"kind": "drop", "terminal_id": "\ud800"},
        {"kind": "drop", "terminal_id": "123456789"},
        {"kind": "drop", "terminal_id": None},
        {"kind": "decline"},
        {"kind": "decline", "code": 51},
        {"kind": "decline", "code": "٣٤"},
        {"kind": "refuse", "code": "16"},
        {"kind": "late", "ms": 5, "self": 1},
        {"kind": "decline", "code": "5\ud800"},
        {"kind": "late", "ms": -1},
        {"kind": "script", "script": ["pin_unblock"]},
        {"kind": "partial", "percent": 100},
        {"kind": "\ud800"},
        {"kind": ["drop"]},
        {"kind": "drop", "\ud800": 1},
    ],
)
def test_control_refuses_a_rule_with_a_wrong_value(http: Browser, rule: dict[str, Any]) -> None:
    body = json.dumps(rule).encode()
    answer = http.post("/rules", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error and "\n" not in error
    assert http.get("/rules").json() == []


def test_control_names_what_it_knows(http: Browser) -> None:
    assert "wrong_arpc" in http.post("/rules", json={"kind": "x"}).json()["error"]
    assert "0400" in http.post("/rules", json={"kind": "drop", "mti": "x"}).json()["error"]
    twice = b'{"kind": "drop", "kind": "lose"}'
    answer = http.post("/rules", content=twice, headers={"content-type": "application/json"})
    assert answer.json()["error"] == "a key occurs twice"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404), ("GET", "/", 404), ("PUT", "/rules", 405),
        ("DELETE", "/rules", 405), ("GET", "/reset", 405), ("POST", "/ledger", 405),
        ("PATCH", "/messages", 405), ("GET", "/messages?most=" + "9" * 5000, 400),
        ("GET", "/messages?most=000001" + "9" * 5000, 400), ("GET", "/messages?most=-1", 400),
        ("GET", "/messages?most=%C2%B2", 400), ("POST", "/reset", 415),
    ],
)  # fmt: skip
def test_control_refuses_in_json(http: Browser, method: str, path: str, status: int) -> None:
    answer = http.ask(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_control_refuses_a_body_that_is_too_long_or_never_ends(
    acquirer: InProcessAcquirer,
) -> None:
    """The second on virtual time: what comes is a request without its end."""
    app = control_app(acquirer.bank)

    def ask(pieces: list[dict[str, Any]]) -> tuple[int, Any]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not pieces:
                await asyncio.Event().wait()
            return pieces.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/rules", "raw_path": b"/rules",
            "query_string": b"", "scheme": "http", "server": ("127.0.0.1", 80),
            "http_version": "1.1",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
        }  # fmt: skip
        virtual_time.run(app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])

    def piece(data: bytes) -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": True}

    long = [piece(b" " * 4096) for _ in range(1000)]
    assert ask(long)[0] == 413
    assert len(long) > 990  # it did not read on
    assert ask([piece(b'{"kind"')])[0] == 408
    assert ask([piece(b'{"kind"'), {"type": "http.disconnect"}])[0] == 400
    assert acquirer.bank.rules.waiting() == []


def test_control_is_for_this_computer_only(http: Browser) -> None:
    for host in ("evil.example", "127.0.0.1:x", "127.0.0.1:1@evil.example", "[::1", ""):
        answer = http.get("/ledger", headers={"host": host})
        assert answer.status_code == 403 and answer.json()["error"]
    for host in ("localhost:5", "127.0.0.1", "[::1]:65535"):
        assert http.get("/ledger", headers={"host": host}).status_code == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:8370"):
        answer = http.post("/rules", json={"kind": "drop"}, headers={"origin": origin})
        assert answer.status_code == 403
    assert http.get("/rules").json() == []
    plain = http.post("/rules", content=b'{"kind": "drop"}', headers={"content-type": "text/plain"})
    assert plain.status_code == 415
    assert http.post("/reset", headers={"host": "evil.example"}).status_code == 403


def test_control_server_on_loopback_only(acquirer: InProcessAcquirer) -> None:
    async def main() -> None:
        async with control_server(acquirer.bank, "127.0.0.1", 0) as port:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"http://127.0.0.1:{port}/ledger")
            assert answer.json()["approved_total"] == 0
        with pytest.raises(UserError, match="loopback only"):
            async with control_server(acquirer.bank, "0.0.0.0", 0):
                raise AssertionError("it listens")

    asyncio.run(main())


def test_a_control_port_that_is_taken_is_named(acquirer: InProcessAcquirer) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(UserError, match=f"127.0.0.1:{port} for control: Address already"):
                async with control_server(acquirer.bank, "127.0.0.1", port):
                    raise AssertionError("it listens")

    asyncio.run(main())


def test_enrol_ledger_accounts(tmp_path: Path) -> None:
    runner = CliRunner()
    state = ["--state", str(tmp_path / "bank")]
    out = tmp_path / "device"
    made = runner.invoke(app, ["enrol", "--serial", "S1", "--out", str(out), *state])
    assert made.exit_code == 0, made.output
    assert "TEST" in made.output
    assert "supervisor code" in made.output
    assert (out / "bundle.cbor").stat().st_size > 1000
    assert (out / "factory.cbor").exists()
    shown = runner.invoke(app, ["ledger", "--json", *state])
    assert json.loads(shown.output)["transactions"] == []
    assert runner.invoke(app, ["ledger", *state]).exit_code == 0
    listed = runner.invoke(app, ["accounts", "--json", *state])
    rows = json.loads(listed.output)
    assert {row["card"] for row in rows} >= {"approve", "decline"}
    table = runner.invoke(app, ["accounts", *state], env={"COLUMNS": "40"}).output
    for row in rows:  # nothing is cut, however narrow the screen; no card number is whole
        assert f"{row['card']} " in table and row["pan"] in table
        assert row["pan"].count("*") >= 6
    assert len({line.index("3512") for line in table.splitlines() if "3512" in line}) == 1
    bad = runner.invoke(app, ["enrol", "--serial", "", "--out", str(out), *state])
    assert isinstance(bad.exception, UserError)


def test_ledger_says_when_the_books_disagree(tmp_path: Path) -> None:
    place = Place.open(tmp_path)
    from host_tools.acquirer.rules import Rules

    place.bank(load(), Rules())
    with place.ledger.session() as session:
        account = session.get(Account, 1)
        assert account is not None
        account.balance -= 1
        session.commit()
    place.close()
    shown = CliRunner().invoke(app, ["ledger", "--state", str(tmp_path)])
    assert shown.exit_code == 1
    assert "DISAGREES" in shown.output


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_run_prints_its_address_and_ends_cleanly(tmp_path: Path, stop: signal.Signals) -> None:
    command = [sys.executable, "-m", "host_tools.till", "acquirer", "run", "--port", "0"]
    command += ["--state", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(stop)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert lines[0].startswith("test bank")
    assert ":0 " not in lines[0]
    assert rest.strip() == "test bank closed"
    assert errors == ""
