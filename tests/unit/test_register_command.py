"""``till register``: setup, register.toml, and what runs."""

import asyncio
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from host_tools.command_line import run
from host_tools.commands.register import app
from host_tools.errors import UserError
from host_tools.register import settings
from host_tools.register.nexo import certificate
from host_tools.register.runner import Adapters
from host_tools.register.settings import RegisterSettings, load, read
from tests.support.register_terminal import RegisterTerminal

GOOD: dict[str, Any] = {
    "terminal": "OT-0001",
    "nexo": {
        "listen": "0.0.0.0:8443",
        "clients": ["192.168.1.20"],
        "poi": "POI-1",
        "register": [
            {"name": "Till 1", "key": "k1", "version": 2, "passphrase": "p" * 16},
            {"name": "Till 2", "api_key": "a" * 16, "sale_ids": ["POS-2"]},
        ],
    },
    "concert": {"port": "/dev/ttyUSB0", "frame": "7E1", "authorisation": True},
    "caisse_ap": {"listen": "192.168.1.5:8888", "clients": ["192.168.1.20"], "plain_network": True},
    "mis": {},
}


def made(tmp_path: Path, *more: str) -> int:
    return run(app, "till register", ["setup", "--folder", str(tmp_path / "r"), *more])


def test_setup_makes_what_run_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert made(tmp_path, "--json", "--register", "till-7", "--sale-id", "POS-1") == 0
    told = json.loads(capsys.readouterr().out)
    folder = tmp_path / "r"
    assert told["common_name"] == "OpenTill-till7.test.terminal.adyen.com"
    for name in (settings.FILE, certificate.SERVER_FILE):
        assert stat.S_IMODE(os.stat(folder / name).st_mode) == 0o600
    ready = load(folder / settings.FILE)
    assert ready.names() == ["nexo"] and ready.nexo is not None
    (client,) = ready.nexo.clients
    assert client.key is not None and client.key.identifier == "till-7"
    assert client.speaker.sale_ids == ("POS-1",)
    root = x509.load_pem_x509_certificate((folder / certificate.ROOT_FILE).read_bytes())
    leaf = x509.load_pem_x509_certificate((folder / certificate.SERVER_FILE).read_bytes())
    leaf.verify_directly_issued_by(root)
    # Keys that a register was given are not thrown away by a second call.
    before = (folder / settings.FILE).read_bytes()
    assert made(tmp_path) == 1
    assert "--force" in capsys.readouterr().err
    assert (folder / settings.FILE).read_bytes() == before
    assert made(tmp_path, "--force") == 0
    out = capsys.readouterr().out
    assert str(folder / settings.FILE) in out
    passphrase = (folder / settings.FILE).read_text().split('passphrase = "')[1].split('"')[0]
    assert len(passphrase) == 32 and passphrase not in out


def test_all_settings_are_read() -> None:
    got = read(GOOD, Path("/etc/x"))
    assert got.terminal == "OT-0001" and got.names() == ["nexo", "concert", "caisse_ap", "mis"]
    assert got.nexo is not None and got.concert is not None and got.mis is not None
    assert got.nexo.certificate == Path("/etc/x/nexo.pem") and got.nexo.poi == "POI-1"
    assert [client.api_key for client in got.nexo.clients] == ["", "a" * 16]
    assert (got.concert.frame, got.concert.rules.authorisation) == ("7E1", True)
    assert got.mis.loopback and got.mis.port == 9001
    assert read({}, Path()).names() == [] == RegisterSettings().names()


def changed(path: str, value: Any) -> dict[str, Any]:
    copy: Any = json.loads(json.dumps(GOOD))
    *way, last = path.split(".")
    part = copy
    for name in way:
        part = part[int(name) if name.isdigit() else name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return copy  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "path, value, says",
    [
        ("nexo.listen", "0.0.0.0", "port"), ("nexo.clients", [], "clients"),
        ("nexo.clients", "192.168.1.20", "kind"), ("nexo.clients", [1], "kind"),
        ("nexo.register", [], "missing"), ("nexo.register", ["x"], "table"),
        ("nexo.port", 1, "no port"), ("other", {}, "no other"),
        ("nexo.register.0.passphrase", "short", "16"),
        ("nexo.register.0.passphrase", None, "plain"),
        ("nexo.register.0.api_key", "b" * 16, "plain"), ("nexo.register.0.key", None, "KeyIdent"),
        ("nexo.register.0.version", True, "kind"), ("nexo.register.1.api_key", "", "plain"),
        ("nexo.register.0.passphrase", "收" * 16, "Latin"),
        ("concert.port", None, "ttyUSB0"), ("concert.baud", "9600", "kind"),
        ("caisse_ap.plain_network", False, "plain_network"), ("caisse_ap.clients", [], "clients"),
        ("mis.listen", "0.0.0.0:9001", "plain_network"), ("mis", [], "kind"),
    ],
)  # fmt: skip
def test_settings_that_are_wrong_are_named(path: str, value: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(changed(path, value), Path())


def test_two_registers_do_not_share_a_key() -> None:
    for place, name in ((0, "key"), (1, "api_key")):
        twice = changed("terminal", "x")
        registers = twice["nexo"]["register"]
        registers.append({**registers[place], "name": "Till 3"})
        with pytest.raises(UserError, match="of its own"):
            read(twice, Path())
        assert name in registers[place]


def test_run_needs_something_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ran(*more: str) -> tuple[int, str]:
        code = run(app, "till register", ["run", "--folder", str(tmp_path), *more])
        return code, capsys.readouterr().err

    code, error = ran()
    assert code == 1 and "till register setup" in error
    (tmp_path / settings.FILE).write_text("")
    code, error = ran()
    assert code == 2 and "nothing to serve" in error
    code, error = ran("--caisse-ap")
    assert code == 1 and "[caisse_ap]" in error
    (tmp_path / settings.FILE).write_text("a = [")
    code, error = ran()
    assert code == 1 and "TOML" in error
    (tmp_path / settings.FILE).write_bytes(b"\xff")
    code, error = ran()
    assert code == 1 and "TOML" in error


def test_one_that_cannot_open_leaves_none_open() -> None:
    told: list[tuple[str, str]] = []

    async def main() -> None:
        wanted = {"concert": {"port": "/dev/none"}, "mis": {"listen": "127.0.0.1:0"}}
        chosen = ["mis", "concert"]
        adapters = Adapters(
            read(wanted, Path()), chosen, RegisterTerminal().reach, None,
            lambda event, name, more: told.append((name, str(more.get("place")))),
        )  # fmt: skip
        with pytest.raises(UserError, match="/dev/none"):
            await adapters.open()
        ((name, place),) = told
        assert name == "mis"
        with (
            pytest.raises(OSError),
            socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2]))),
        ):
            raise AssertionError("it still listens")

    asyncio.run(main())
