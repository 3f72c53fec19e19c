"""For every test."""

import signal

from hypothesis import settings

# A shell that starts a command in the background has it ignore SIGINT, and so would each
# process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No example is judged by how long it took: that is the machine's doing.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
