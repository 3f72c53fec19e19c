"""A scripted contact card with a key hierarchy of its own, for kernel tests.

It knows no EMV logic: each answer is a table entry that a test may replace,
except the signatures, which are made when asked for.
"""

from firmware.crypto import hashes
from firmware.payment.emv import steps, tlv
from firmware.payment.emv.config import AidConfig, Capk, TerminalConfig, Transaction
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import Trace

# Test keys of 1024 bits made for these tests and used nowhere else.
CA_N = int(
    "E09D8C047DE5B3334102F293D2BAEFD3BAE5726D21928CBEA4A4B0FADAB40E663D76E94C9A77CE8308132DEDDA9EC15993"
    "ECAEDADA0821704F09C20BA01A5DF7C84B7C6DA73835AD68344302CED28190F918CCE0E78785A747F9DA7F03456D132D6C"
    "1059481DFA38B84EA9F680CFA55BBFC99AE33FC8DE0D440C928EE3D537A3",
    16,
)
CA_D = int(
    "B57571D57B24239667920B08F3388461A7DE8F87AC94A951A6CF4A0F0EBA61DBA51238BDE318A0E468949E094711F41FFB"
    "0A3DE49E39ED51BEF8A224242EC8F3CE058553E454879DA3354B2DD1749B7DFD8F47C9F2815C38A0356FAAF9F132C09DAF"
    "300C2B62250FD44FDA5E69F1E0E4ABA9BEDD30EF1A9A95159C5355B7A5B9",
    16,
)
ISSUER_N = int(
    "D7A764185BA15E069663B766DB4EDF3A363BF60974119DD4F6FEBF58CC4CA460B6FA04063419642A9C084F19A95417AAC1"
    "852B90E670A49DDF4D91DF8BB9311AC718C2B111DA9D84EFA66025F5654CE749485F12FCC50CAC837A2DF0C5120D6671D4"
    "B16E7835B25F34DE1D8F7ACF8711A829E4B9729C0E1BBBA018155DDF683F",
    16,
)
ISSUER_D = int(
    "9FB2A1F937C1E3F354E33B29BC364830BF80DFCE5859C35BB61D286E05BCABEDC3129A704D9C9004CDCF89642374D6A1E8"
    "F54931E0B481F3372E265C390847478494456FD899BFC71AF637104F1124FCB875403E2B51C383EC054D1780F1AA161733"
    "2DD3FE615A0E15DC2F7B8484EEA600F9AF332307192CEFDBF152CE9C4921",
    16,
)
ICC_N = int(
    "BFAB08400A07F8504C9848B7C187470B7A49C0286FFDDDCDF5A5D826E8706CF9652AD82A30979B63629CC7031C213C58C7"
    "78E516FC24A5482A719D3A9CC3DD608410D8529BFFE4B2A2307E40C436930EF09879C001FABF604D5BE9187E6C9B922AA6"
    "3ECA530DD0018CE2C0118C762F73FA45155505E20EE68C1C297C0193F191",
    16,
)
ICC_D = int(
    "7FC75AD55C055035886585CFD65A2F5CFC312AC59FFE93DEA3C3E56F45A048A64371E57175BA679797132F576816283B2F"
    "A5EE0F52C318DAC6F668D1BDD7E8E9DB319F1CFBCF66F9E523BFC4FE900DCA19B545BC5033A713DF4438F8A718FC284C15"
    "FF3D6C58959048AD229248D2E27CD9028531298488503F0F96E886D8DEAB",
    16,
)
SIZE = 128
E65537 = b"\x01\x00\x01"
RID = bytes.fromhex("A000000333")
AID = bytes.fromhex("A000000333010101")
PAN = bytes.fromhex("6210940000000012")
CDOL1 = bytes.fromhex("9F02069F03069F1A0295055F2A029A039C019F3704")
CDOL2 = bytes.fromhex("8A029F02069F03069F1A0295055F2A029A039C019F3704")
PDOL = bytes.fromhex("9F1A029F3303")


def sign(body, extra, n, d):
    """6A body padding hash BC under a private key; ``body`` starts with the format."""
    middle = body + b"\xbb" * (SIZE - 22 - len(body))
    plain = b"\x6a" + middle + hashes.sha1(middle + extra) + b"\xbc"
    return pow(int.from_bytes(plain, "big"), d, n).to_bytes(SIZE, "big")


def issuer_certificate(
    identifier="6210ffff", expiry="1249", serial="000001", head="02", alg="0101"
):
    modulus = ISSUER_N.to_bytes(SIZE, "big")
    left = SIZE - 36
    body = bytes.fromhex(head + identifier + expiry + serial + alg) + bytes((SIZE, 3))
    remainder = modulus[left:]
    return sign(body + modulus[:left], remainder + E65537, CA_N, CA_D), remainder


def icc_certificate(static, pan="6210940000000012ffff", expiry="1249", number=ICC_N, alg="0101"):
    modulus = number.to_bytes(SIZE, "big")
    left = SIZE - 42
    body = bytes.fromhex("04" + pan + expiry + "000002" + alg) + bytes((SIZE, 1))
    remainder = modulus[left:]
    signed = sign(body + modulus[:left], remainder + b"\x03" + static, ISSUER_N, ISSUER_D)
    return signed, remainder


def template(tag, objects):
    """A template of (tag, value) pairs, in order."""
    return tlv.encode(tag, b"".join([tlv.encode(inner, value) for inner, value in objects]))


AIP_OF = {"": 0x00, "SDA": 0x40, "DDA": 0x20, "CDA": 0x01}


class FakeCard:
    """``oda``: "", "SDA", "DDA", "CDA"; ``cvm``: the rules of 8E in hex.

    Tests change ``data`` (tag to value, None takes it away), ``answers``
    (command header hex to (data, sw)) and ``kinds`` (CIDs of the cryptograms)
    before the run. ``log`` holds the commands.
    """

    def __init__(self, oda="", cvm="0200", aip=0x1C):
        self.oda = oda
        self.aip = bytes((AIP_OF[oda] | aip, 0))
        self.static = {
            0x5A: PAN,
            0x5F24: bytes.fromhex("491231"),
            0x5F25: bytes.fromhex("200101"),
            0x5F28: b"\x01\x56",
            0x5F34: b"\x01",
            0x9F07: b"\xff\x80",
            0x8E: bytes(8) + bytes.fromhex(cvm),
            0x9F0D: bytes(5),
            0x9F0E: bytes(5),
            0x9F0F: b"\x00\x00\x00\x80\x00",
        }
        self.data = {
            0x8C: CDOL1,
            0x8D: CDOL2,
            0x57: PAN + bytes.fromhex("d4912201000000000f"),
            0x9F08: b"\x00\x8c",
        }
        self.answers = {}
        self.kinds = [0x80, 0x40]
        self.pdol = PDOL
        self.iad = bytes.fromhex("07010103a00000")
        self.spoil_cda = False
        self.wrong_pins = 0
        self.tries = 3
        self.log = []
        self.hashed = b""
        self.afl = bytes.fromhex("0801010110010300")
        self.built = None

    def static_record(self):
        return template(0x70, [(t, v) for t, v in self.static.items() if v is not None])

    def keys(self):
        """Certificates for the records as they stand."""
        if not self.oda:
            return {}
        signed = b"".join(
            [tlv.encode(t, v) for t, v in sorted(self.static.items()) if v is not None]
        )
        certificate, remainder = issuer_certificate()
        found = {0x8F: b"\x57", 0x90: certificate, 0x92: remainder, 0x9F32: E65537}
        if self.oda == "SDA":
            found[0x93] = sign(b"\x03\x01\xda\xc0", signed, ISSUER_N, ISSUER_D)
        else:
            signed_key, rest = icc_certificate(signed)
            found[0x9F46] = signed_key
            found[0x9F48] = rest
            found[0x9F47] = b"\x03"
            found[0x9F49] = b"\x9f\x37\x04"
        return found

    def build(self):
        """Records by (SFI, number)."""
        first = template(0x70, [(t, v) for t, v in sorted(self.static.items()) if v is not None])
        keys = self.keys()
        keys.update(self.data)
        small = [
            (t, v) for t, v in sorted(keys.items()) if v is not None and t not in (0x90, 0x9F46)
        ]
        second = template(0x70, small)
        third = [(t, keys[t]) for t in (0x90,) if keys.get(t) is not None]
        fourth = [(t, keys[t]) for t in (0x9F46,) if keys.get(t) is not None]
        return {
            (1, 1): first,
            (2, 1): second,
            (2, 2): template(0x70, third),
            (2, 3): template(0x70, fourth),
        }

    def fci(self):
        inside = [(0x50, b"DEBIT"), (0x87, b"\x01")]
        if self.pdol:
            inside.append((0x9F38, self.pdol))
        return template(0x6F, [(0x84, AID), (0xA5, template(0xA5, inside)[2:])])

    def exchange(self, command):
        self.log.append(bytes(command))
        if self.built is None:
            self.built = self.build()
        for size in (len(command), len(command) - 1, 5, 4):
            canned = self.answers.get(command[:size].hex().upper())
            if canned is not None:
                if isinstance(canned, list):
                    return canned.pop(0) if len(canned) > 1 else canned[0]
                return canned
        ins = command[1]
        if ins == 0xA4:
            name = command[5 : 5 + command[4]]
            if command[3] == 0 and AID[: len(name)] == name:
                return self.fci(), 0x9000
            return b"", 0x6A82
        if ins == 0xA8:
            self.hashed = command[7:-1]
            return template(0x77, [(0x82, self.aip), (0x94, self.afl)]), 0x9000
        if ins == 0xB2:
            record = self.built.get((command[3] >> 3, command[2]))
            return (record, 0x9000) if record is not None else (b"", 0x6A83)
        if ins == 0xCA:
            tag = command[2:4]
            value = {b"\x9f\x17": bytes((self.tries,)), b"\x9f\x36": b"\x00\x05"}.get(tag)
            if tag == b"\x9f\x13":
                value = b"\x00\x04"
            if value is None:
                return b"", 0x6A88
            return tag + bytes((len(value),)) + value, 0x9000
        if ins == 0x88:
            signed = sign(b"\x05\x01\x09\x08" + b"\x11" * 8, command[5:-1], ICC_N, ICC_D)
            return tlv.encode(0x80, signed), 0x9000
        if ins == 0xAE:
            return self.cryptogram(command), 0x9000
        if ins in (0x82, 0x24, 0x1E, 0x18, 0xDA):
            return b"", 0x9000
        return b"", 0x6D00

    def cryptogram(self, command):
        kind = self.kinds.pop(0)
        data = command[5:-1]
        self.hashed += data
        if command[2] & 0x10 and kind & 0xC0:
            rest = [(0x9F27, bytes((kind,))), (0x9F36, b"\x00\x05"), (0x9F10, self.iad)]
            body = b"".join([tlv.encode(t, v) for t, v in rest])
            digest = hashes.sha1(self.hashed + body)
            if self.spoil_cda:
                digest = bytes(20)
            dynamic = b"\x08" + b"\x22" * 8 + bytes((kind,)) + b"\xac" * 8 + digest
            unpredictable = data[-4:]
            signed = sign(
                b"\x05\x01" + bytes((len(dynamic),)) + dynamic, unpredictable, ICC_N, ICC_D
            )
            return template(0x77, rest + [(0x9F4B, signed)])
        return tlv.encode(0x80, bytes((kind,)) + b"\x00\x05" + b"\xac" * 8 + self.iad)

    def verify(self):
        if self.wrong_pins:
            self.wrong_pins -= 1
            self.tries -= 1
            return 0x63C0 | self.tries
        return 0x9000


def capk(**changes):
    values = {"rid": RID, "index": 0x57, "modulus": CA_N.to_bytes(SIZE, "big"), "exponent": E65537}
    values.update(changes)
    return Capk(**values)


def aid_config(**changes):
    values = {
        "aid": AID,
        "tac_default": bytes.fromhex("D84000A800"),
        "tac_online": bytes.fromhex("D84004F800"),
        "tac_denial": bytes.fromhex("0010000000"),
        "version": b"\x00\x8c",
        "floor_limit": 10000,
    }
    values.update(changes)
    return AidConfig(**values)


def config(**changes):
    values = {"aids": [aid_config()], "capks": [capk()]}
    values.update(changes)
    return TerminalConfig(**values)


def transaction(**changes):
    values = {"amount": 12345, "date": bytes.fromhex("261121"), "time": bytes.fromhex("034100")}
    values.update(changes)
    return Transaction(**values)


class Run:
    """What a driven transaction did."""

    def __init__(self):
        self.steps = []
        self.outcome = None
        self.trace = None
        self.kernel = None

    def kinds(self):
        return [step.__class__.__name__ for step in self.steps]

    def stages(self):
        found = {}
        for entry in self.trace.entries:
            if entry["t"] == "stage":
                found[entry["name"]] = (entry["tvr"], entry["tsi"])
        return found

    def rules(self):
        return [entry["rule"] for entry in self.trace.entries if entry["t"] in ("rule", "bit")]


def approve():
    return steps.HostAnswer(b"00", bytes.fromhex("11223344556677883030"))


def drive(card, terminal=None, payment=None, host=None, pins=None, choices=None, full=False):
    """Run the kernel against ``card``; ``pins`` are EnterPin answers in turn."""
    run = Run()
    run.trace = Trace(full)
    run.kernel = Kernel(
        terminal or config(), payment or transaction(), lambda n: b"\x5a" * n, run.trace
    )
    pins = list(pins or [])
    choices = list(choices or [])
    step = run.kernel.start()
    for _ in range(1000):
        run.steps.append(step)
        if isinstance(step, steps.Outcome):
            run.outcome = step
            return run
        if isinstance(step, steps.SendApdu):
            data, sw = card.exchange(step.command)
            answer = (data, sw, 1000)
        elif isinstance(step, steps.EnterPin):
            answer = pins.pop(0) if pins else ("entered", None)
        elif isinstance(step, steps.VerifyPin):
            answer = card.verify()
        elif isinstance(step, steps.GoOnline):
            answer = host if host is not None else approve()
        elif isinstance(step, steps.ChooseApplication):
            answer = choices.pop(0) if choices else 0
        else:
            answer = choices.pop(0) if choices else True
        step = run.kernel.resume(answer)
    raise AssertionError("the kernel never ends")
