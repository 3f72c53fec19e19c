"""Cash registers: their protocols on the PC, payments on the terminal (docs/register.md)."""
