"""Random source of the Linux kernel (Linux only): getrandom(2)."""

import os

from firmware.drivers import entropy_test
from firmware.hal.entropy import Entropy, EntropyError


class LinuxEntropy(Entropy):
    """The kernel's generator. Before it is seeded, reads fail instead of waiting."""

    genuine = True

    def random(self, count: int) -> bytes:
        if not 1 <= count <= 256:
            raise ValueError("1 to 256 random bytes, not " + str(count))
        try:
            data = os.getrandom(count, os.GRND_NONBLOCK)
        except OSError as error:  # BlockingIOError while the pool is not seeded
            raise EntropyError("getrandom: " + str(error)) from error
        if len(data) != count:  # getrandom(2): never, up to 256
            raise EntropyError("getrandom gave " + str(len(data)) + " bytes of " + str(count))
        return data

    async def self_test(self) -> None:
        entropy_test.check(b"".join([self.random(256) for _ in range(4)]))
