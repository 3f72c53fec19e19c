"""The one durable log and its folds."""
