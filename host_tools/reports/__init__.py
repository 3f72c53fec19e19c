"""Sums and lists over the PC's database, by integers of the minor unit (docs/pc.md, Reports)."""
