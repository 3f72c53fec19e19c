"""What each modem family says of itself, from the makers' AT manuals and 3GPP TS 27.007."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FamilyWords:
    """Words and quirks of one family. ``boot``: unsolicited lines after power-on, each
    with its time in ms. ``own``: vendor commands it knows, of the chip's handlers."""

    maker: str
    model: str
    revision: str
    boot: tuple[tuple[int, str], ...]
    own: frozenset[str] = field(default_factory=frozenset)
    #: Time in ms until it answers after a restart.
    boot_ms: int = 9000
    #: Word behind CONNECT.
    connect: str = "CONNECT"
    #: +CPIN answer of a missing SIM: an error number, or a text of the vendor.
    absent: str = "+CME ERROR: 10"
    #: Whether quotes stand around the address of +CGPADDR.
    quoted_address: bool = True
    #: What a restart says last, before it goes.
    farewell: str = ""


FAMILIES: dict[str, FamilyWords] = {
    "generic": FamilyWords(
        "Generic", "GM1", "GM1 1.00", ((3000, "+CPIN: READY"),), frozenset({"+CPINR", "+CESQ"})
    ),
    "ec25": FamilyWords(
        "Quectel",
        "EC25",
        "EC25EFAR06A06M4G",
        ((0, "RDY"), (400, "+CFUN: 1"), (900, "+CPIN: READY"), (1500, "+QUSIM: 1"),
         (2600, "+QIND: SMS DONE"), (4200, "+QIND: PB DONE")),
        frozenset({"+QPINC", "+QCCID", "+QCSQ", "+QGDCNT", "+QPOWD"}),
        13000,
        "CONNECT 150000000",
        farewell="POWERED DOWN",
    ),
    "ec200": FamilyWords(
        "Quectel",
        "EC200UCN",
        "EC200UCNAAR03A07M08",
        ((0, "RDY"), (500, "+CPIN: READY"), (900, "+QUSIM: 1"), (1500, "+QIND: SMS DONE")),
        frozenset({"+QPINC", "+QCCID", "+QCSQ", "+QGDCNT", "+QPOWD"}),
        7000,
        farewell="POWERED DOWN",
    ),
    "sim7600": FamilyWords(
        "SIMCOM INCORPORATED",
        "SIMCOM_SIM7600E-H",
        "SIM7600M22_V2.0",
        ((0, "START"), (700, "+CPIN: READY"), (2500, "SMS DONE"), (4500, "PB DONE")),
        frozenset({"+SPIC", "+CICCID", "+CRESET", "+CPOF"}),
        15000,
        "CONNECT 115200",
        absent="+CME ERROR: SIM not inserted",
        quoted_address=False,
    ),
    "a7670": FamilyWords(
        "INCORPORATED",
        "A7670E-FASE",
        "A7670M7_V1.11.1",
        ((0, "*ATREADY: 1"), (400, "+CPIN: READY"), (1500, "SMS DONE"), (2500, "PB DONE")),
        frozenset({"+SPIC", "+CICCID", "+CRESET", "+CPOF", "+CESQ"}),
        8000,
        "CONNECT 115200",
        quoted_address=False,
    ),
}  # fmt: skip
