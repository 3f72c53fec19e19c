"""Runs under MicroPython: tries TLS connections and prints one line each.

    micropython tests/system/mpy_tls_client.py ROOT FOLDER

FOLDER/cases.json: [{"name", "port", "trust": [...], "server_name", "chain":
[...], "key", "passphrase", "timeout", "quiet"}], files named inside FOLDER.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

from firmware import aio  # the path comes from the command line
from firmware.buses.tcp_mpy import TcpMpy
from firmware.drivers.tls_link_mpy import TlsLinkMpy
from firmware.hal.network import ConnectionLost, NetworkError, TlsConfig, TlsFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDER = sys.argv[2] + "/"


def load(name: str) -> bytes:
    with open(FOLDER + name, "rb") as file:
        return file.read()


async def talk(link: TlsLinkMpy, case: "dict[str, Any]") -> str:
    config = TlsConfig(
        [load(name) for name in case["trust"]],
        case["server_name"],
        [load(name) for name in case["chain"]],
        load(case["key"]),
        case["passphrase"],
    )
    try:
        stream = await link.connect("127.0.0.1", case["port"], config, case["timeout"])
    except TlsFailed as error:
        return "tls " + error.cause
    except NetworkError as error:
        return error.__class__.__name__
    text = b"hello " * 1000
    answer = b""
    try:
        name, _ = await aio.first(("read", stream.read(10)), timeout_ms=20)
        if name != "timeout":
            return "read before anything was sent"
        await stream.write(text)
        while len(answer) < len(text):
            answer += await stream.read(500)
        return "ok" if answer == text.upper() else "wrong answer"
    except ConnectionLost as error:
        return "lost " + str(error.sent)
    finally:
        await stream.close()


async def main() -> None:
    link = TlsLinkMpy(TcpMpy())
    with open(FOLDER + "cases.json") as file:
        cases = json.load(file)
    for case in cases:
        print(case["name"] + ": " + await talk(link, case))


aio.run(main())
