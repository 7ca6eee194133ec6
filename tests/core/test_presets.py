import pytest

from trilingua.core import presets
from trilingua.core.errors import ConfigError


@pytest.fixture(autouse=True)
def empty_register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "_PRESETS", {})


def test_a_preset_is_found_by_its_name_and_made_anew() -> None:
    @presets.preset("toy-tiny")
    def toy_tiny() -> dict[str, int]:
        """Costs nothing, reaches nothing.

        More words.
        """
        return {"a": 1}

    @presets.preset("toy-big")
    def toy_big() -> dict[str, int]:
        """Costs more."""
        return {"a": 2}

    assert presets.preset_names() == ["toy-big", "toy-tiny"]
    assert presets.get_preset("toy-tiny") == {"a": 1} == toy_tiny()
    assert presets.get_preset("toy-tiny") is not presets.get_preset("toy-tiny")
    assert presets.describe_preset("toy-tiny") == "Costs nothing, reaches nothing."
    with pytest.raises(ConfigError) as raised:
        presets.get_preset("toy-tinny")
    expected = "preset 'toy-tinny': no such preset; choose one of toy-big, toy-tiny (did you mean toy-tiny?)"
    assert str(raised.value) == expected


def test_two_presets_of_one_name_or_without_a_promise_are_our_own_mistake() -> None:
    def silent() -> int:
        return 1

    with pytest.raises(AssertionError, match="docstring"):
        presets.preset("toy-silent")(silent)

    def first() -> int:
        """Costs nothing."""
        return 1

    def second() -> int:
        """Costs nothing."""
        return 2

    presets.preset("toy")(first)
    presets.preset("toy")(first)  # a module imported again
    with pytest.raises(AssertionError, match="defined twice"):
        presets.preset("toy")(second)
