"""The schema files: up to date, compatible with earlier versions, and true to the wire."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse as parse_avro
from pydantic import BaseModel

from schemas import generate, registry
from schemas.catalogue import BY_TYPE, CATALOGUE, types_on
from schemas.registry import UnknownSchemaError, committed_schemas, named_schema, newest_schema
from schemas.topics import EVENT_TOPICS


def compatible(reader: dict[str, Any], writer: dict[str, Any]) -> bool:
    """Return whether `reader` understands everything that `writer` can have written."""
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    result = checker.get_compatibility(reader=parse_avro(json.dumps(reader)), writer=parse_avro(json.dumps(writer)))
    return result.compatibility is SchemaCompatibilityType.compatible


def fully_compatible(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return compatible(one, other) and compatible(other, one)


def test_the_schema_files_match_the_models() -> None:
    assert generate.out_of_step() == [], "run python -m schemas.generate and commit the files"


def test_every_type_has_committed_schemas() -> None:
    assert set(committed_schemas()) == set(BY_TYPE)


@pytest.mark.parametrize("type_name", sorted(BY_TYPE))
def test_every_committed_version_and_the_model_can_read_each_other(type_name: str) -> None:
    """FULL_TRANSITIVE: producers and readers of any version ever published work together."""
    current = generate.avro_schema(BY_TYPE[type_name].model)
    for version, schema in committed_schemas()[type_name].items():
        assert fully_compatible(schema, current), f"{type_name}: version {version} and the model are not compatible"


def with_fields(change: Any) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(json.dumps(newest_schema("order.paid")[1]))
    change(schema["fields"])
    return schema


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (lambda fields: fields.append({"name": "note", "type": ["null", "string"], "default": None}), True),
        (lambda fields: fields.append({"name": "note", "type": "string"}), False),
        (lambda fields: fields.pop(), False),
        (lambda fields: fields[0].update(name="order"), False),
        (lambda fields: fields[0].update(type="long"), False),
    ],
    ids=["optional added", "required added", "required removed", "renamed", "type changed"],
)
def test_the_compatibility_check_only_allows_optional_fields(change: Any, allowed: bool) -> None:
    assert fully_compatible(with_fields(change), newest_schema("order.paid")[1]) is allowed


def first_text(schema: dict[str, Any]) -> Any:
    """Return the type of the first value in a body of this schema."""
    first = schema["fields"][0]["type"]
    return first_text(first) if isinstance(first, dict) and first["type"] == "record" else first


@pytest.mark.parametrize("type_name", sorted(BY_TYPE))
def test_a_bare_avro_body_cannot_be_confused_with_the_confluent_format(type_name: str) -> None:
    """A body begins with a text that is never empty, so never with 0x00."""
    assert all(first_text(schema) == "string" for schema in committed_schemas()[type_name].values())


@pytest.mark.parametrize(
    "name", ["urn:couponry:order.placed:v1", "https://example.com/a/order.placed/v1.avsc", "order.placed/v1"]
)
def test_a_committed_schema_is_found_by_the_end_of_its_name(name: str) -> None:
    assert named_schema(name) == ("order.placed", committed_schemas()["order.placed"][1])


@pytest.mark.parametrize(
    "name",
    [
        "",
        "order.placed",
        "urn:couponry:order.placed:v0",
        "urn:couponry:order.placed:v99",
        "urn:couponry:../x:v1",
        "x:v1",
    ],
)
def test_a_schema_outside_the_repository_is_unknown(name: str) -> None:
    with pytest.raises(UnknownSchemaError):
        named_schema(name)


def test_json_schemas_name_every_field_of_their_model() -> None:
    for entry in CATALOGUE:
        file = generate.FOLDER / "json" / f"{entry.name}.schema.json"
        assert set(json.loads(file.read_text("utf-8"))["properties"]) == set(entry.model.model_fields)


# --- the generator itself, in a temporary folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(generate.FOLDER / "avro", tmp_path / "schemas" / "avro")
    shutil.copytree(generate.FOLDER / "json", tmp_path / "schemas" / "json")
    monkeypatch.setattr(generate, "FOLDER", tmp_path / "schemas")
    return tmp_path / "schemas"


def changed_model(monkeypatch: pytest.MonkeyPatch) -> None:
    current = generate.avro_schema

    def with_note(model: type[BaseModel]) -> dict[str, Any]:
        schema = current(model)
        if schema["name"] == "OrderPaid":
            schema["fields"].append({"name": "note", "type": ["null", "string"], "default": None})
        return schema

    monkeypatch.setattr(generate, "avro_schema", with_note)


def test_nothing_is_written_if_all_files_are_up_to_date(folder: Path) -> None:
    assert generate.main([]) == 0
    assert not (folder / "avro" / "older").exists()


def test_a_changed_model_makes_the_committed_schema_an_older_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed_model(monkeypatch)
    before = (folder / "avro" / "order.paid.avsc").read_text("utf-8")
    assert generate.main(["--check"]) == 1
    assert "out of date: schemas/avro/order.paid.avsc" in capsys.readouterr().out
    assert generate.main([]) == 0
    assert (folder / "avro" / "older" / "order.paid.v1.avsc").read_text("utf-8") == before
    assert '"note"' in (folder / "avro" / "order.paid.avsc").read_text("utf-8")
    assert generate.main(["--check"]) == 0


def test_an_older_version_keeps_its_name_and_the_new_one_gets_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_model(monkeypatch)
    generate.main([])
    monkeypatch.setattr(registry, "files", lambda _: folder)
    registry._committed_schemas.cache_clear()
    try:
        assert newest_schema("order.paid")[0] == "urn:couponry:order.paid:v2"
        assert [len(schema["fields"]) for schema in committed_schemas()["order.paid"].values()] == [3, 4]
    finally:
        registry._committed_schemas.cache_clear()


def test_an_unreleased_change_can_be_amended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed_model(monkeypatch)
    assert generate.main(["--amend"]) == 0
    assert not (folder / "avro" / "older").exists()
    assert '"note"' in (folder / "avro" / "order.paid.avsc").read_text("utf-8")


def test_a_file_that_belongs_to_no_event_is_removed(folder: Path) -> None:
    stray = folder / "avro" / "order.forgotten.avsc"
    stray.write_text("{}", "utf-8")
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert not stray.exists()


def test_the_readme_names_every_topic_with_its_key_and_types() -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (Path(registry.__file__).parent / "README.md").read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    documented = {row[0].strip("`"): (row[1], tuple(row[2].replace("`", "").split())) for row in rows if len(row) == 5}
    for topic in EVENT_TOPICS:
        assert documented[topic.name] == (topic.key, types_on(topic.name))
