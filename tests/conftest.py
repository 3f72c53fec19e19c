"""For every test."""

import signal

# A shell that starts a command in the background has it ignore SIGINT, and so would each
# process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
