"""Runnable examples. They stand outside the installed package: run them from the repository's root."""
