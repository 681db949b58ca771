"""Repeated log lines are omitted and counted."""

import logging

from shared.runtime.log_throttle import OncePerWindow


def line(text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.ERROR, "", 0, text, arguments, None)


def test_lines_of_one_kind_are_let_through_once_a_window() -> None:
    once = OncePerWindow(window_seconds=3_600)
    assert [once.filter(line("node %s is away", number)) for number in range(3)] == [True, False, False]
    assert once.filter(line("another kind"))


def test_the_next_line_says_how_many_were_left_out() -> None:
    once = OncePerWindow(window_seconds=3_600)
    for number in range(4):
        once.filter(line("node %s is away", number))
    once._window_seconds = 0
    last = line("node %s is away", 9)
    assert once.filter(last)
    assert last.getMessage() == "node 9 is away (and 3 more like it)"
