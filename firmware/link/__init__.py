"""The PC link. Its layers arrive with pairing; both ends import this room."""
