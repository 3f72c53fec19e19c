"""The PC's payments as files that other programs read (docs/pc.md, Exports)."""
