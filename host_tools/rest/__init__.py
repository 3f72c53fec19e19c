"""The REST API of the PC (docs/api.md)."""
