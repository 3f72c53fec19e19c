"""TLV, APDU and the contact kernel (EMV 4.4)."""
