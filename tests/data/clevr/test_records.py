"""Records of a file, by their picture: a file of a record a line, the same file otherwise laid out, broken files."""

import json
from pathlib import Path

import pytest

from trilingua.core.errors import InputError
from trilingua.data.clevr.records import RecordFile

RECORDS = [{"image_filename": f"{number % 3}.png", "text": f"number {number}, \u00fc"} for number in range(7)]


def write_lines(path: Path, ending: str = "\n]}\n") -> Path:
    lines = ",\n".join(json.dumps(record) for record in RECORDS)
    path.write_text('{"info": {"split": "x"}, "things": [\n' + lines + ending)
    return path


@pytest.fixture(params=["lines", "whole", "indented", "another order"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> RecordFile:
    path = tmp_path / "things.json"
    if request.param == "lines":
        write_lines(path)
    elif request.param == "another order":
        path.write_text(
            '{"things": [\n' + ",\n".join(json.dumps(dict(sorted(r.items())[::-1])) for r in RECORDS) + "\n]}\n"
        )
    else:
        path.write_text(json.dumps({"things": RECORDS}, indent=2 if request.param == "indented" else None))
    return RecordFile(path, "things")


def test_every_record_is_found_by_its_picture(file: RecordFile) -> None:
    assert list(file) == [(f"{file.path}: things[{number}]", record) for number, record in enumerate(RECORDS)]
    for name in ("0.png", "1.png", "2.png", "3.png"):
        expected = [(where, value) for where, value in file if value["image_filename"] == name]
        assert file.of(name) == expected
        assert len(expected) == {"0.png": 3, "1.png": 2, "2.png": 2, "3.png": 0}[name]


def test_only_files_of_a_record_a_line_stay_on_disk(tmp_path: Path) -> None:
    file = RecordFile(write_lines(tmp_path / "things.json"), "things")
    assert len(file.of("0.png")) == 3
    assert "_whole" not in vars(file)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    def message(text: str) -> str:
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            RecordFile(path, "things").of("0.png")
        return str(caught.value)

    path = write_lines(tmp_path / "things.json")
    cut = path.read_text()[:-30]
    assert message(cut).startswith(f"{path}: ")
    assert message('{"things": 3}') == f"{path}: expected a JSON object with a list named 'things'"
    assert message('{"things": [{}]}') == f"{path}: things[0].image_filename: is None; expected a text"
    spoiled = write_lines(path).read_text().replace('"number 3', "number 3")
    assert message(spoiled).startswith(f"{path}: things[3]: is no JSON (")
