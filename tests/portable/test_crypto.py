"""Portable ciphers, hashes, MACs, PIN blocks, key blocks: values that standards print."""

import hashlib

from firmware.crypto import (
    backend,
    ed25519,
    hashes,
    kcv,
    key_block,
    mac,
    modes,
    pin_block,
    rsa,
    sha,
    wipe,
    working_keys,
    wrap,
)
from firmware.crypto.aes import Aes
from firmware.crypto.des import Des
from tests.portable.crypto_cases import h, refused


def test_des_known_answers():
    # NBS Special Publication 500-20: sample, and a weak-looking key with odd parity.
    assert Des(h("133457799BBCDFF1")).encrypt(h("0123456789ABCDEF")) == h("85E813540F0AB405")
    assert Des(h("0101010101010101")).encrypt(h("8000000000000000")) == h("95F8A5E5DD31D900")
    assert Des(h("7CA110454A1A6E57")).encrypt(h("01A1D6D039776742")) == h("690F5B0D9A26939B")
    # NIST SP 800-67, appendix B.1: three keys.
    tdes = Des(h("0123456789ABCDEF23456789ABCDEF01456789ABCDEF0123"))
    plain = b"The qufck brown fox jump"
    sealed = h("A826FD8CE53B855FCCE21C8112256FE668D5C05DD9B6B900")
    assert tdes.encrypt(plain) == sealed and tdes.decrypt(sealed) == plain


def test_tdes_key_lengths():
    one = h("0123456789ABCDEF")
    assert Des(one + one).encrypt(bytes(8)) == Des(one).encrypt(bytes(8))
    two = one + h("FEDCBA9876543210")
    assert Des(two + one).encrypt(bytes(16)) == Des(two).encrypt(bytes(16))
    for size in (0, 7, 9, 15, 17, 25):
        assert "key" in refused(Des, bytes(size))
        assert "key" in refused(backend.des, bytes(size))
    for cipher in (Des(two), backend.des(two)):
        assert cipher.encrypt(b"") == b""
        refused(cipher.encrypt, bytes(7))
        refused(cipher.decrypt, bytes(9))


def test_aes_known_answers():
    # FIPS 197, appendix C.
    plain = h("00112233445566778899AABBCCDDEEFF")
    for size, sealed in (
        (16, "69C4E0D86A7B0430D8CDB78070B4C55A"),
        (24, "DDA97CA4864CDFE06EAF70A0EC0D7191"),
        (32, "8EA2B7CA516745BFEAFC49904B496089"),
    ):
        key = bytes(range(size))
        for cipher in (Aes(key), backend.aes(key)):
            assert cipher.encrypt(plain) == h(sealed)
            assert cipher.decrypt(h(sealed)) == plain
            assert cipher.encrypt(plain + plain) == h(sealed) * 2
            refused(cipher.encrypt, bytes(15))
            refused(cipher.decrypt, bytes(17))
    for size in (0, 8, 15, 33):
        refused(Aes, bytes(size))
        refused(backend.aes, bytes(size))


def test_the_backend_is_the_portable_cipher():
    for size in (8, 16, 24):
        key = hashes.sha256(b"des")[:size]
        data = hashes.sha256(b"data")
        assert backend.des(key).encrypt(data) == Des(key).encrypt(data)
        assert backend.des(key).decrypt(data) == Des(key).decrypt(data)
    for size in (16, 24, 32):
        key = hashes.sha256(b"aes")[:size]
        assert backend.aes(key).decrypt(data) == Aes(key).decrypt(data)
    assert backend.cipher("des", bytes(8)).block == 8
    assert backend.cipher("aes192", bytes(24)).block == 16
    refused(backend.cipher, "tdes2", bytes(8))
    refused(backend.cipher, "sm4", bytes(16))


def test_modes():
    # NIST SP 800-38A, F.2.1 and F.5.1.
    key = h("2B7E151628AED2A6ABF7158809CF4F3C")
    plain = h("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51")
    iv = bytes(range(16))
    sealed = h("7649ABAC8119B246CEE98E9B12E9197D5086CB9B507219EE95DB113A917678B2")
    cipher = backend.aes(key)
    assert modes.cbc_encrypt(cipher, iv, plain) == sealed
    assert modes.cbc_decrypt(cipher, iv, sealed) == plain
    counter = h("F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF")
    stream = h("874D6191B620E3261BEF6864990DB6CE9806F66B7970FDFF8617187BB9FFFDFF")
    assert modes.ctr(cipher, counter, plain) == stream
    assert modes.ctr(cipher, counter, stream[:21]) == plain[:21]
    assert modes.ctr(cipher, b"\xff" * 16, bytes(32))[16:] == cipher.encrypt(bytes(16))
    assert modes.ctr(cipher, iv, b"") == b""
    refused(modes.cbc_encrypt, cipher, iv[:8], plain)
    refused(modes.cbc_decrypt, cipher, iv, plain[:5])
    refused(modes.xor, b"a", b"ab")


def test_hashes():
    # FIPS 180-4 examples.
    assert sha.sha1(b"abc") == h("A9993E364706816ABA3E25717850C26C9CD0D89D") == hashes.sha1(b"abc")
    long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
    assert sha.sha1(long) == h("84983E441C3BD26EBAAE4AA1F95129E5E54670F1")
    abc512 = h(
        "DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A"
        "2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F"
    )
    assert sha.sha512(b"abc") == abc512 == hashes.sha512(b"abc")
    for size in (0, 55, 56, 63, 64, 111, 112, 119, 120, 127, 128, 200):
        data = b"\xa5" * size
        assert hashes.sha1(data) == sha.sha1(data)
        assert hashes.sha512(data) == sha.sha512(data)
    assert hashes.sha256(b"abc") == hashlib.sha256(b"abc").digest()


def test_hmac_and_pbkdf2():
    # RFC 4231, cases 1, 2 and 6; RFC 7914, section 11.
    assert hashes.hmac_sha256(b"\x0b" * 20, b"Hi There")[:8] == h("B0344C61D8DB3853")
    assert hashes.hmac_sha256(b"Jefe", b"what do ya want for nothing?")[:8] == h("5BDCC146BF60754E")
    text = b"Test Using Larger Than Block-Size Key - Hash Key First"
    assert hashes.hmac_sha256(b"\xaa" * 131, text)[:8] == h("60E431591EE0B67F")
    expected = h("55AC046E56E3089FEC1691C22544B605F94185216DDE0465E68B9D57C20DACBC")
    assert hashes.pbkdf2_sha256(b"passwd", b"salt", 1) == expected
    work = hashes.Pbkdf2(b"password", b"saltSALTsaltSALT", 30)
    assert not work.step(29)
    assert work.step(29)
    assert work.result() == hashes.pbkdf2_sha256(b"password", b"saltSALTsaltSALT", 30)


def test_same():
    assert hashes.same(b"", b"") and hashes.same(b"ab", bytearray(b"ab"))
    assert not hashes.same(b"ab", b"ac") and not hashes.same(b"ab", b"abc")


def test_mac_padding():
    assert mac.pad(b"", 1) == bytes(8) and mac.pad(b"12345678", 1) == b"12345678"
    assert mac.pad(b"12345678", 2) == b"12345678\x80" + bytes(7)
    assert mac.pad(b"1", 3) == bytes(7) + b"\x081" + bytes(7)
    refused(mac.pad, b"", 4)


def test_macs():
    # ANSI X9.9 and X9.19 agree for a key whose halves are equal.
    key = h("0123456789ABCDEF")
    data = b"7654321 Now is the time for "
    assert mac.x9_9(key, data) == h("F1D30F6849312CA4")
    assert mac.x9_19(key + key, data) == mac.x9_9(key, data) == mac.x9_19(key, data)
    # ISO/IEC 9797-1, annex B, algorithm 3 with padding 1 and 2.
    text = b"Now is the time for all "
    assert mac.x9_19(h("0123456789ABCDEFFEDCBA9876543210"), text) == h("A1C72E74EA3FA9B6")
    assert mac.x9_19(h("0123456789ABCDEFFEDCBA9876543210"), text, 2) == h("E9086230CA3BE796")
    refused(mac.x9_19, bytes(24), text)
    # UnionPay ECB MAC, published example.
    data = h("1234567890ABCDEFABCDEF1234567890")
    assert mac.cup_ecb(h("2222222222222222"), data) == b"E267B6E2"
    # RFC 4493 and NIST SP 800-38B (TDES).
    aes_key = h("2B7E151628AED2A6ABF7158809CF4F3C")
    assert mac.aes_cmac(aes_key, b"") == h("BB1D6929E95937287FA37D129B756746")
    tdes_key = h("8AA83BF8CBDA10620BC1BF19FBB6CD58BC313D4A371CA8B5")
    assert mac.tdes_cmac(tdes_key, b"") == h("B7A688E122FFAF95")
    assert mac.tdes_cmac(tdes_key, h("6BC1BEE22E409F96")) == h("8E8F293136283797")


def test_check_values():
    assert kcv.zeros("des", h("5BB5C72CD00B7338")) == h("AB7153CA")
    assert kcv.zeros("tdes2", h("807A23AD32B36D457AE91FDF927570EA")) == h("8D0A74B8")
    assert kcv.shown("tdes2", h("807A23AD32B36D457AE91FDF927570EA")) == "8D0A74"
    assert kcv.shown("aes128", h("00112233445566778899AABBCCDDEEFF"))[:6] == "53E107"


def test_working_keys_published_example():
    tmk = h("CA5D92598DCA48CE8A4C76361A9269E9")
    block = h("6701EAD6A9AD51E51AA406E2C27FCFA98D0A74B8B651F9E9BACE9AE10000000000000000AB7153CA")
    pin, mac_key = working_keys.unwrap("tdes2", tmk, block)
    assert pin == ("pin", "tdes2", h("807A23AD32B36D457AE91FDF927570EA"))
    assert mac_key == ("mac", "des", h("5BB5C72CD00B7338"))
    for size in (0, 23, 25, 39, 41, 59, 61, 84):
        assert "bytes" in refused(working_keys.unwrap, "tdes2", tmk, bytes(size))
    assert "pin" in refused(working_keys.unwrap, "tdes2", tmk, b"\x00" + block[1:])
    assert "mac" in refused(working_keys.unwrap, "tdes2", tmk, block[:-1] + b"\x00")
    # Only the transmitted tail of the MAC key speaks; seven zeros are no tail.
    assert "mac" in refused(working_keys.unwrap, "tdes2", tmk, block[:35] + b"\x01" + block[36:])


def test_pin_blocks():
    assert pin_block.clear_0(b"1234", "5555555551234567") == h("041261AAAAEDCBA9")
    assert pin_block.clear_2(bytearray(b"123456789012")) == h("2C123456789012FF")
    assert pin_block.pan_field_4("1") == h("00000000000010000000000000000000")
    field = pin_block.pin_field_4(b"12345", h("517F9481BA5275FA"))
    assert field == h("4512345AAAAAAAAA517F9481BA5275FA")
    for pin in (b"", b"123", b"1234567890123", b"12a4", b"12\xff4"):
        refused(pin_block.clear_0, pin, "5555555551234567")
        refused(pin_block.clear_2, pin)
        refused(pin_block.pin_field_4, pin, bytes(8))
    for pan in ("", "555555555123", "55555555512345678901", "555555555123456x"):
        refused(pin_block.clear_0, b"1234", pan)
    for pan in ("", "12345678901234567890", "12 4"):
        refused(pin_block.pan_field_4, pan)
    refused(pin_block.pin_field_4, b"1234", bytes(7))
    details = [
        refused(pin_block.clear_0, b"98x7", "5555555551234567"),
        refused(pin_block.encipher_0, bytes(16), b"98x7", "5555555551234567"),
        refused(pin_block.encipher_4, bytes(16), b"98x7", "5555555551234567", bytes(8)),
    ]
    for detail in details:
        assert "9" not in detail and "7" not in detail  # no digit of a PIN in an error


def test_rsa():
    n = 3233 * (1 << 48) + 1  # odd, six bytes or more; only arithmetic is tested here
    modulus = n.to_bytes((len(f"{n:x}") + 1) // 2, "big")
    size = len(modulus)
    data = (12345).to_bytes(size, "big")
    assert rsa.recover(data, modulus, 3) == (12345**3 % n).to_bytes(size, "big")
    assert rsa.recover(data, modulus, 65537) == pow(12345, 65537, n).to_bytes(size, "big")
    refused(rsa.recover, data + b"\x00", modulus, 3)
    refused(rsa.recover, data[1:], modulus, 3)
    refused(rsa.recover, modulus, modulus, 3)
    refused(rsa.recover, data, modulus, 2)
    refused(rsa.recover, data, modulus, 1)
    refused(rsa.recover, data, b"", 3)
    refused(rsa.recover, data, b"\x00" + modulus[1:], 3)
    refused(rsa.recover, data, modulus[:-1] + b"\x02", 3)
    refused(rsa.recover, bytes(249), b"\xff" * 249, 3)


def test_seal():
    master = bytes(range(32))
    sealed = wrap.seal(master, b"label", b"secret", bytes(16))
    assert len(sealed) == 16 + 6 + 16
    opened = wrap.unseal(master, b"label", sealed)
    assert opened == b"secret"
    wipe(opened)
    assert opened == bytes(6)
    assert wrap.unseal(master, b"l", wrap.seal(master, b"l", b"", b"n" * 16)) == b""
    for i in range(len(sealed)):
        refused(wrap.unseal, master, b"label", sealed[:i])
        refused(
            wrap.unseal, master, b"label", sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :]
        )
    refused(wrap.unseal, master, b"other", sealed)
    refused(wrap.unseal, bytes(32), b"label", sealed)
    refused(wrap.seal, master[:16], b"label", b"", bytes(16))
    refused(wrap.seal, master, b"label", b"", bytes(12))


def test_key_block():
    protection = h("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")
    block = (
        "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D2"
        "07E2E417C07156A27E8E31DA05F7425509593D03A457DC34"
    )  # ANSI X9.143, published example
    header, key = key_block.unwrap(protection, block)
    assert key == h("3F419E1CB7079442AA37474C2EFBF8B8")
    assert (header.usage, header.algorithm, header.mode) == ("P0", "A", "E")
    for i in range(len(block)):
        other = "0" if block[i] != "0" else "1"
        refused(key_block.unwrap, protection, block[:i] + other + block[i + 1 :])
        refused(key_block.unwrap, protection, block[:i])
    refused(key_block.unwrap, protection[:16], block)
    refused(key_block.unwrap, protection[:15], block)
    refused(key_block.unwrap, protection, block.lower())


def test_key_block_round_trip():
    protection = bytes(range(16))
    for size in (1, 8, 14, 16, 24, 32):
        for blocks in ([], [("KS", "00604B120F9292800000")], [("CT", "x" * 300), ("LB", "till")]):
            header = key_block.Header("K0", "T", "D", "c1", "E", list(blocks))
            made = key_block.wrap(protection, header, bytes(range(size)), bytes, 32)
            assert len(made) == int(made[1:5]) and len(made) % 16 == 0
            back, key = key_block.unwrap(protection, made)
            assert key == bytes(range(size))
            assert [b for b in back.blocks if b[0] != "PB"] == blocks
            assert (back.key_version, back.exportability) == ("c1", "E")
    header = key_block.Header("K0", "T", "D")
    for bad in ("K", "k0", "K00", "K-"):
        refused(key_block.wrap, protection, key_block.Header(bad, "T", "D"), bytes(8), bytes)
    refused(key_block.wrap, protection, key_block.Header("K0", "T", "D", version="B"), b"1", bytes)
    refused(key_block.wrap, protection, header, b"", bytes)
    refused(key_block.wrap, protection, header, bytes(4000), bytes)
    header.blocks = [("PB", "00")]
    refused(key_block.wrap, protection, header, bytes(8), bytes)
    header.blocks = [("LB", "\n")]
    refused(key_block.wrap, protection, header, bytes(8), bytes)
    header.blocks = [("LB", "x" * 9990)]
    refused(key_block.wrap, protection, header, bytes(8), bytes)
    header.blocks = [("LB", "x" * 9000)]
    refused(key_block.wrap, protection, header, bytes(500), bytes)


def test_ed25519():
    # RFC 8032, 7.1: tests 1, 2, 3.
    for public, message, signature in (
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ):
        key, text, proof = h(public), h(message), h(signature)
        for verify in (ed25519.verify, ed25519.verify_portable):
            assert verify(key, text, proof)
            assert not verify(key, text + b"x", proof)
            assert not verify(key, text, proof[:63])
            assert not verify(key[:31], text, proof)
            assert not verify(key, text, proof[:40] + bytes([proof[40] ^ 1]) + proof[41:])
            assert not verify(key, text, bytes([proof[0] ^ 1]) + proof[1:])


def test_ed25519_refuses_what_is_not_canonical():
    order = (1 << 252) + 27742317777372353535851937790883648493
    proof = h(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    public = h("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    again = (int.from_bytes(proof[32:], "little") + order).to_bytes(32, "little")
    for verify in (ed25519.verify, ed25519.verify_portable):
        assert not verify(public, b"", proof[:32] + again)
        assert not verify(b"\xff" * 32, b"", proof)  # y is not below p
        assert not verify(b"\x02" + bytes(31), b"", proof)  # no point has this y
