"""The PC's database: what terminals told it, and what follows from that (docs/pc.md)."""
