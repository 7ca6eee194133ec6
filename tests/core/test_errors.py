import inspect

import pytest

from trilingua.core import errors

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.TrilinguaError) and kind is not errors.TrilinguaError
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_is_ours_and_a_builtin_and_keeps_its_message(kind):
    builtins = [
        base
        for base in kind.__mro__
        if base.__module__ == "builtins" and base not in (Exception, BaseException, object)
    ]
    assert builtins, f"{kind.__name__} inherits no builtin error"
    for catch in (errors.TrilinguaError, builtins[0]):
        with pytest.raises(catch) as caught:
            raise kind("file.json: is empty")
        assert str(caught.value) == "file.json: is empty"


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ConfigError", ValueError),
        ("InputError", ValueError),
        ("VocabularyError", ValueError),
        ("CheckpointError", RuntimeError),
        ("DependencyError", ImportError),
        ("DivergenceError", FloatingPointError),
        ("WriteError", OSError),
        ("WorkerError", RuntimeError),
    ],
)
def test_the_builtin_of_each_error(name, builtin):
    assert issubclass(getattr(errors, name), builtin)


def test_the_status_of_each_error_says_whether_a_person_can_mend_it():
    assert {kind.__name__: kind.exit_code for kind in KINDS} == {
        "ConfigError": 2,
        "InputError": 2,
        "VocabularyError": 2,
        "CheckpointError": 2,
        "DependencyError": 2,
        "DivergenceError": 1,
        "WriteError": 1,
        "WorkerError": 1,
    }
