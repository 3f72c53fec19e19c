"""Ciphers by backend, PIN blocks, MACs, key blocks. No I/O."""
