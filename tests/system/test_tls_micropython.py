"""TLS by MicroPython's own `tls` against OpenSSL, over real loopback sockets."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.support.tls_pki import NAME, PASSPHRASE, LoopbackServer, Pki, tls_handler
from tests.system.test_micropython import ROOT, unpacked

#: (case, what it changes, what comes of it)
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("good", {}, "ok"),
    ("plain DER key", {"key": "key.der", "passphrase": ""}, "ok"),
    ("two anchors", {"trust": ["other.der", "ca.der"]}, "ok"),
    ("wrong passphrase", {"passphrase": "wrong"}, "tls client_key"),
    ("garbage key", {"key": "garbage"}, "tls client_key"),
    ("garbage chain", {"chain": ["garbage"]}, "tls client_key"),
    ("garbage anchor", {"trust": ["garbage"]}, "tls unknown_ca"),
    ("no anchor", {"trust": []}, "tls unknown_ca"),
    ("wrong CA", {"trust": ["other.der"]}, "tls unknown_ca"),
    ("wrong name", {"server_name": "other.test"}, "tls wrong_host"),
    ("empty name", {"server_name": ""}, "tls wrong_host"),
    ("no client certificate", {"chain": []}, "tls client_refused"),
    ("foreign client certificate", {"chain": ["foreign.der"]}, "tls client_refused"),
]


def _files(folder: Path, pki: Pki, other: Pki) -> None:
    der = serialization.Encoding.DER
    foreign = other.certificate("terminal", pki.client_key)
    for name, data in {
        "ca.der": pki.ca.public_bytes(der),
        "other.der": other.certificate("Another CA", other.ca_key, ca=True).public_bytes(der),
        "client.der": pki.client.public_bytes(der),
        "foreign.der": foreign.public_bytes(der),
        "key.pem": pki.config().client_key,
        "key.der": pki.client_key.private_bytes(
            der, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        "garbage": b"garbage",
    }.items():
        (folder / name).write_bytes(data)


def _case(name: str, port: int, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "port": port,
        "trust": ["ca.der"],
        "server_name": NAME,
        "chain": ["client.der"],
        "key": "key.pem",
        "passphrase": PASSPHRASE,
        "timeout": 8000,
        **changes,
    }


def _run(arch: str, folder: Path, cases: list[dict[str, Any]]) -> dict[str, str]:
    (folder / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(
        [unpacked(arch), "-X", "heapsize=8M", "tests/system/mpy_tls_client.py", ROOT, folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.micropython
@pytest.mark.parametrize("arch", ["amd64", "i386"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_every_fault_is_named(arch: str, version: str, tmp_path: Path) -> None:
    pki, other = Pki(), Pki()
    _files(tmp_path, pki, other)
    with LoopbackServer(tls_handler(pki.context(version), bytes.upper)) as server:
        cases = [_case(name, server.port, changes) for name, changes, _ in CASES]
        assert _run(arch, tmp_path, cases) == {name: wanted for name, _, wanted in CASES}


@pytest.mark.micropython
def test_other_servers(tmp_path: Path) -> None:
    pki = Pki()
    _files(tmp_path, pki, Pki())
    expired = pki.certificate("server", pki.server_key, names=(NAME,), days=(-9, -1))

    def garbage(peer: socket.socket) -> None:
        peer.recv(1000)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.recv(1000)

    def hang(peer: socket.socket) -> None:
        while peer.recv(1000):
            continue

    def cut(peer: socket.socket) -> None:
        peer.recv(1000)

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        LoopbackServer(tls_handler(pki.context("1.2", expired), bytes.upper)) as old,
        LoopbackServer(tls_handler(pki.context("1.3", tickets=0), bytes.upper)) as ticketless,
        LoopbackServer(garbage) as strange,
        LoopbackServer(hang) as silent,
        LoopbackServer(cut) as short,
    ):
        closed = listener.getsockname()[1]
        listener.close()
        found = _run(
            "amd64",
            tmp_path,
            [
                _case("expired", old.port, {}),
                _case("no tickets", ticketless.port, {}),
                _case("garbage", strange.port, {}),
                _case("silent", silent.port, {"timeout": 300}),
                _case("cut", short.port, {}),
                _case("nobody", closed, {}),
            ],
        )
    assert found == {
        "expired": "tls expired",
        "no tickets": "ok",
        "garbage": "tls protocol",
        "silent": "tls timeout",
        "cut": "tls cut",
        "nobody": "HostUnreachable",
    }
