"""Turn the CEL library's compile errors into sentences that say what to change."""

import re
from typing import NoReturn

from shared.ledger.condition_rules import ConditionError, fail

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_NO_OVERLOAD = re.compile(r"found no matching overload for '(.*)' applied to '\((.*)\)'")
_OPERATORS = {"_&&_": "&&", "_||_": "||", "!_": "!", "-_": "-", "@in": "in", "_[_]": "[]", "_?_:_": "? :"}
_WORDS = {"and": "&&", "or": "||", "not": "!", "=": "==", "AND": "&&", "OR": "||", "NOT": "!", "None": "null"}


def explain(expression: str, message: str) -> NoReturn:
    """Raise ConditionError for the library's first error, with its place and what to change."""
    if "recursion" in message:
        raise ConditionError("The condition is nested too deeply (at most 32 levels); split it into several.")
    found = _ERROR.search(message)
    if found is None:
        raise ConditionError(
            "The condition isn't valid CEL; start from one of the examples and change it step by step."
        )
    line, column, complaint = int(found[1]), int(found[2]), found[3].strip()
    lines = expression.split("\n")
    place = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1 if line > 0 else 0
    word = re.search(r"(\w+)\s*$", expression[:place])
    if word and word[1] in _WORDS:  # in `not paid` the library reports `paid`
        fail(expression, word.start(), f"CEL writes `{_WORDS[word[1]]}` for `{word[1]}`.")
    fail(expression, place, _sentence(complaint))


def _sentence(complaint: str) -> str:
    if overload := _NO_OVERLOAD.match(complaint):
        name = _OPERATORS.get(overload[1], overload[1].strip("_"))
        types = overload[2].replace("google.protobuf.Timestamp", "timestamp")
        return f"`{name}` can't be applied to {types}; use equal types, or convert with int(), double() or string()."
    if unknown := re.match(r"undeclared reference to '(.*?)'", complaint):
        return f"there is no function `{unknown[1]}`; see https://cel.dev for the functions of CEL."
    problem = complaint.removeprefix("Syntax error: ").partition(" expecting")[0]
    odd = problem.partition("'")[2].strip("' ")
    if odd in _WORDS:
        return f"CEL writes `{_WORDS[odd]}` for `{odd}`."
    if odd == "<EOF>":
        return "something is missing at the end; finish the condition."
    if "token recognition" in problem:
        return f'`{odd}` is not allowed here; put strings in quotes, and write other keys like metadata["a-b"].'
    return f"{problem}; correct it." if problem == complaint else f"this isn't CEL: {problem}; correct it."
