"""Rehearsals: events played against campaigns in memory, judged by the code that judges in earnest, stored nowhere."""
