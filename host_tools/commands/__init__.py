"""One module for each `till` subcommand."""
