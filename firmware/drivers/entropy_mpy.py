"""Random source of a MicroPython port: ``os.urandom``, over the chip's generator.

An ESP32's generator is a true one only while its radio (or another noise
source) runs: ESP-IDF Programming Guide, "Random Number Generation". With
``radio`` the Wi-Fi interface is therefore switched on before the first byte.
"""

import os

from firmware.drivers import entropy_test
from firmware.hal.entropy import Entropy, EntropyError


def _switch_on_the_radio() -> None:
    try:
        import network

        network.WLAN(network.WLAN.IF_STA).active(True)
    except (ImportError, OSError) as error:
        raise EntropyError("the radio that feeds the generator: " + str(error)) from None


class MpyEntropy(Entropy):
    """``radio``: the generator needs the radio."""

    genuine = True

    def __init__(self, radio: bool = False) -> None:
        """EntropyError when the radio does not start."""
        if radio:
            _switch_on_the_radio()

    def random(self, count: int) -> bytes:
        if not 1 <= count <= 256:
            raise ValueError("1 to 256 random bytes, not " + str(count))
        try:
            data = os.urandom(count)
        except OSError as error:
            raise EntropyError("urandom: " + str(error)) from None
        if len(data) != count:
            raise EntropyError("urandom gave " + str(len(data)) + " bytes of " + str(count))
        return data

    async def self_test(self) -> None:
        entropy_test.check(b"".join([self.random(256) for _ in range(4)]))
