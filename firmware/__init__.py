"""What runs on the terminal. Rooms and import arrows: docs/architecture.md."""
