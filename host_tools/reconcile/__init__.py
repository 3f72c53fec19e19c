"""Acquirers' settlement files compared with the PC's payments (docs/pc.md, Reconciliation)."""
