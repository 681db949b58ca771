"""The Complete Journey study as events that Couponry reads: see README.md in this folder."""
