"""The Complete Journey study as events of Couponry's contract: see README.md beside this file."""
