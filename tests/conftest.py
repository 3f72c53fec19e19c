"""For every test."""

import os
import signal

# A shell that starts a command in the background has it ignore SIGINT, and so would each
# process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No example is judged by how long it took: that is the machine's doing. The rig's guest has no
# Hypothesis.
if not os.environ.get("OPENTILL_RIG_GUEST"):
    from hypothesis import settings

    settings.register_profile("house", deadline=None)
    settings.load_profile("house")
