"""Contract: a counter in hardware that only goes up.

The vault stands on it where a board has one: it writes beside the journal's
position what the counter will read, so that files of an earlier day, put back
together, are noticed (docs/threat-model.md). Errors are the vault's, for
nobody else speaks with a counter.

``secret``: 32 bytes that the vault derives from its device key. A counter
belongs to the vault whose secret made it and answers to no other.
"""

from firmware.hal.vault import VaultError


class CounterError(VaultError):
    """The counter failed, or did not answer in time. Whether it stepped is not known."""


class CounterMissing(CounterError):
    """No such chip here, or this process may not talk to it."""


class CounterLocked(CounterError):
    """The chip refuses for a while: lockout, or it spares its memory. Nothing was done."""


class CounterUnset(CounterError):
    """The chip is there and holds no counter yet, or holds it no more."""


class CounterForeign(CounterError):
    """The counter there is another terminal's, or no counter of ours."""


class Counter:
    """Every call ends within ten seconds."""

    async def find(self, secret: "bytes | bytearray") -> int:
        """The value, 1 or more. CounterUnset, CounterForeign, CounterError."""
        raise NotImplementedError

    async def make(self, secret: "bytes | bytearray") -> int:
        """Make sure that there is a counter of ``secret``; its value. One that a
        vault before made is replaced: its secret died with it. A counter begins
        no lower than any before it in this chip ended. CounterForeign, CounterError."""
        raise NotImplementedError

    async def step(self, secret: "bytes | bytearray") -> int:
        """Go up by one; the new value, which no loss of power takes back.
        CounterUnset, CounterForeign, CounterError."""
        raise NotImplementedError
