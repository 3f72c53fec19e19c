"""How often a client may ask: a bucket of requests that fills again with time."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable


class Buckets:
    """``burst`` requests at once and ``per_s`` on average, for each name; names beyond ``most``
    push out the one that was heard of longest ago."""

    def __init__(
        self,
        per_s: float,
        burst: int,
        now: Callable[[], float] = time.monotonic,
        most: int = 1000,
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now = now
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> int:
        """Take one request; 0, or the whole seconds to wait when there is none."""
        now = self._now()
        left, seen = self._left.pop(name, (float(self._burst), now))
        left = min(float(self._burst), left + (now - seen) * self._per_s)
        granted = left >= 1
        self._left[name] = (left - 1 if granted else left, now)
        while len(self._left) > self._most:
            self._left.popitem(last=False)
        return 0 if granted else math.ceil((1 - left) / self._per_s)
