"""Repeated log lines are left out and counted."""

import logging

from shared.runtime.log_throttle import OncePerWindow


def line(text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.ERROR, "", 0, text, arguments, None)


def test_identical_lines_are_logged_once_per_window() -> None:
    once = OncePerWindow(window_seconds=3_600)
    assert [once.filter(line("node %s is away", number)) for number in range(3)] == [True, False, False]
    assert once.filter(line("another kind"))


def test_the_next_line_has_the_number_of_omitted_ones() -> None:
    once = OncePerWindow(window_seconds=3_600)
    for number in range(4):
        once.filter(line("node %s is away", number))
    once._window_seconds = 0
    last = line("node %s is away", 9)
    assert once.filter(last)
    assert last.getMessage() == "node 9 is away (and 3 more like it)"
