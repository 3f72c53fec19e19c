"""Contract: the one source of randomness."""

from firmware.errors import TillError


class EntropyError(TillError):
    """The source failed its start-up test or does not answer."""

    text_key = "error.entropy"


class Entropy:
    """A cryptographic random source, tested at boot."""

    #: False for a source that a test seeded; such a terminal says so on screen.
    genuine = False

    def random(self, count: int) -> bytes:
        """``count`` bytes (1 to 256). Raises EntropyError."""
        raise NotImplementedError

    async def self_test(self) -> None:
        """Start-up test (repetition count and adaptive proportion, NIST SP
        800-90B 4.4, over at least 1024 samples). Raises EntropyError."""
        raise NotImplementedError
