"""Engineer's decoders: text in, JSON-able values and readable lines out (docs/decoders.md)."""
