"""Why a row misses its aim: shown only when it does. Kept by hand."""

#: The beginning of a row's name: the reason.
REASONS = (
    (
        "durable append against raw",
        "The raw loop is one write and one fsync in C; ours adds the record's checks, CBOR, "
        "CRC-32, two SHA-256 and a task in Python: 23 us in a tight loop without the disk, about "
        "90 when the caches have gone cold in its wait. The share grows as the disk gets quicker, "
        "and the rates of one disk vary by half between runs.",
    ),
    (
        "CPU of an approved sale, outside",
        "About a quarter is debouncing ten keys (a look every 5 ms while a contact chatters); the "
        "printer's questions, card, screens, TLS and journal share the rest. A look, a message to "
        "a chip or a timer costs two turns of asyncio's loop and the wire's system calls, which "
        "pins, I2C and UART of a real board do not need. A machine that others load makes every "
        "figure of CPU time longer.",
    ),
    (
        "display: ",
        "luma's display() of the same frame is one call in C; ours compares pages in Python.",
    ),
)


def reason(name: str) -> str:
    """Of the row ``name``; says so when nobody has written one."""
    for begin, text in REASONS:
        if name.startswith(begin):
            return text
    return "no reason known yet"
