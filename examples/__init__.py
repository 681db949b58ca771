"""Runnable examples, outside the installed package. Run them from the repository's root."""
