"""Start-up test of a random source: NIST SP 800-90B, 4.4, on byte samples.

Both tests assume 6 bits of entropy a byte, less than any source used here
claims, and a false alarm rate of 2^-20 a window (4.4.1, 4.4.2).
"""

from firmware.hal.entropy import EntropyError

#: Samples drawn at start-up (4.3, requirement 4).
SAMPLES = 1024
#: Repetition count: 1 + ceil(20 / 6) equal samples in a row.
REPETITIONS = 5
#: Adaptive proportion: samples in a window, and how many may equal its first.
WINDOW = 512
PROPORTION = 25


def check(samples: bytes) -> None:
    """Raises EntropyError unless ``samples`` (at least 1024 bytes) pass both tests."""
    if len(samples) < SAMPLES:
        raise EntropyError("start-up test wants " + str(SAMPLES) + " samples")
    run = 1
    for i in range(1, len(samples)):
        run = run + 1 if samples[i] == samples[i - 1] else 1
        if run >= REPETITIONS:
            raise EntropyError("random source repeats itself")
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        window = samples[start : start + WINDOW]
        same = 0
        for sample in window:
            if sample == window[0]:
                same += 1
        if same >= PROPORTION:
            raise EntropyError("random source favours a value")
