"""Rehearsals: events played against campaigns in memory, decided by the same code as in the services."""
