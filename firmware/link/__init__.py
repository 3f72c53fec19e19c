"""The PC link, layer by layer and without I/O (docs/link.md); both ends import this room."""
