"""The PC's end of the link: transports, known terminals, pairing, calls (docs/link.md)."""
