"""File descriptors of the test's own process."""

import gc
import os


def open_descriptors() -> int:
    """How many there are, without those that other tests left to the collector. Compare with
    ``<=``: what belongs to others may go meanwhile."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
