"""What one probe costs on the wire: IP bytes both ways, as an MTU of 1500 would cut them.

Run in a network namespace of its own (``unshare --user --map-root-user --net``), whose
loopback carries nothing else. Prints {name: [bytes, packets]}.
"""

import fcntl
import json
import socket
import struct

from firmware import aio
from firmware.buses.tcp_linux import TcpLinux
from firmware.drivers.tls_link import TlsLink
from firmware.services.link_probe import REACHED, TlsProbe
from tests.support.tls_pki import LoopbackServer, Pki, tls_handler

#: netdevice(7).
_SIOCSIFFLAGS, _SIOCSIFMTU, _IFF_UP = 0x8914, 0x8922, 0x1
#: packet(7): IP packets that came to this host, each once on loopback.
_ETH_P_IP, _CAME = 0x0800, 0
_MTU, _HEADERS = 1500, 52


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, _SIOCSIFMTU, struct.pack("16si12x", b"lo", _MTU))
        fcntl.ioctl(asked, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _passed(wire: socket.socket) -> list[int]:
    """[IP bytes, packets] that passed until nothing moves any more: a connection's end
    comes after its close."""
    count = total = 0
    while True:
        try:
            data, (_, _, kind, _, _) = wire.recvfrom(65536)
        except TimeoutError:
            return [total, count]
        if kind == _CAME:
            length = int.from_bytes(data[2:4], "big")
            parts = max(-(-(length - _HEADERS) // (_MTU - _HEADERS)), 1)  # the kernel joins them
            count += parts
            total += length + (parts - 1) * _HEADERS


async def _ask(pki: Pki, port: int, whole: bool) -> None:
    link = TlsLink(TcpLinux("lo"))
    config = pki.config()
    config.client_chain, config.client_key, config.passphrase = [], b"", ""
    probe = TlsProbe("127.0.0.1", port, config)
    said = await (probe.ask(link, 5000) if whole else probe.touch(link, 5000))
    assert said == REACHED, said


def main() -> None:
    """Measure each profile of the test PKI."""
    _loopback_up()
    found: dict[str, list[int]] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP)) as wire:
        wire.settimeout(0.3)
        for profile in ("ecdsa", "rsa"):
            pki = Pki(profile)
            for version in ("1.2", "1.3"):
                context = pki.context(version=version)
                for whole in (False, True):
                    with LoopbackServer(tls_handler(context, bytes.upper)) as server:
                        aio.run(_ask(pki, server.port, whole))
                        name = f"{profile} TLS {version}" if whole else "TCP alone"
                        found[name] = _passed(wire)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
