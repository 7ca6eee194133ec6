import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trilingua.core.config import differences, from_json, replace_dotted, to_json
from trilingua.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Leaf:
    rate: float = 0.5
    size: int = 3

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"size: {self.size} is not allowed; expected at least 1")


@dataclass(frozen=True, kw_only=True)
class Other:
    name: str = "x"


@dataclass(frozen=True, kw_only=True)
class Tree:
    leaf: Leaf = field(default_factory=Leaf)
    either: Leaf | Other = field(default_factory=Other)
    kind: Literal["a", "b"] = "a"
    betas: tuple[float, float] = (0.9, 0.95)
    names: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    limit: int | None = None
    on: bool = False
    path: Path | None = None
    needed: int


@given(
    st.builds(
        Tree,
        leaf=st.builds(Leaf, rate=st.floats(-9, 9), size=st.integers(1, 9)),
        either=st.builds(Leaf) | st.builds(Other, name=st.text(max_size=5)),
        kind=st.sampled_from(["a", "b"]),
        betas=st.tuples(st.floats(0, 1), st.floats(0, 1)),
        names=st.lists(st.text(max_size=3), max_size=3).map(tuple),
        weights=st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=3),
        limit=st.none() | st.integers(),
        on=st.booleans(),
        path=st.none() | st.just(Path("a/b")),
        needed=st.integers(),
    )
)
def test_a_tree_comes_back_equal(tree: Tree) -> None:
    again = from_json(Tree, to_json(tree))
    assert again == tree


def test_a_whole_number_is_read_as_a_real_one_where_that_is_meant() -> None:
    assert type(from_json(Leaf, {"rate": 1}).rate) is float


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"needed": 1, "lef": {}}, "run.lef: no such field in Tree; its fields are leaf, either, kind, betas, names, "
         "weights, limit, on, path, needed (did you mean leaf?)"),
        ({"needed": 1, "leaf": {"rat": 1}}, "run.leaf.rat: no such field in Leaf; its fields "
         "are rate, size (did you mean rate?)"),
        ({}, "run.needed: is missing; expected a whole number"),
        ({"needed": 1.5}, "run.needed: 1.5 is not allowed; expected a whole number"),
        ({"needed": True}, "run.needed: true is not allowed; expected a whole number"),
        ({"needed": "1"}, 'run.needed: "1" is not allowed; expected a whole number'),
        ({"needed": 1, "on": 1}, "run.on: 1 is not allowed; expected true or false"),
        ({"needed": 1, "limit": "no"}, 'run.limit: "no" is not allowed; expected a whole number or null'),
        ({"needed": 1, "kind": "c"}, 'run.kind: "c" is not allowed; expected one of "a", "b"'),
        ({"needed": 1, "betas": [0.9]}, "run.betas: [0.9] is not allowed; expected a list of 2, each a finite number"),
        ({"needed": 1, "betas": [0.9, "x"]}, 'run.betas.1: "x" is not allowed; expected a finite number'),
        ({"needed": 1, "names": "abc"}, 'run.names: "abc" is not allowed; expected a list, each text'),
        ({"needed": 1, "weights": {"a": None}}, "run.weights.a: null is not allowed; expected a finite number"),
        ({"needed": 1, "weights": {"a": math.nan}}, "run.weights.a: NaN is not allowed; expected a finite number"),
        ({"needed": 1, "leaf": 4}, "run.leaf: 4 is not allowed; expected an object with the fields of Leaf"),
        ({"needed": 1, "leaf": {"size": 0}}, "run.leaf.size: 0 is not allowed; expected at least 1"),
        ({"needed": 1, "either": {"type": "Leav"}},
         'run.either.type: "Leav" is not allowed; expected one of Leaf, Other'),
        ([1], "run: [1] is not an object; expected the fields of Tree"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_dotted_path(value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        from_json(Tree, value, "run")
    assert str(raised.value) == message


def test_dotted_changes_read_text_as_the_field_says() -> None:
    tree = Tree(needed=1)
    changes = {"leaf.rate": "1e-3", "needed": "12", "on": "true", "kind": "b", "betas": "[0.5, 1]", "limit": "null"}
    changed = replace_dotted(tree, changes | {"either.name": "7", "path": "x/y"})
    expected = dataclasses.replace(
        tree,
        leaf=Leaf(rate=1e-3),
        needed=12,
        on=True,
        kind="b",
        betas=(0.5, 1.0),
        either=Other(name="7"),
        path=Path("x/y"),
    )
    assert changed == expected
    assert tree == Tree(needed=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leaf.siz": "1"}, "leaf.siz: no such field in Leaf; its fields are rate, size (did you mean size?)"),
        ({"leaf.size": "0"}, "leaf.size: 0 is not allowed; expected at least 1"),
        ({"leaf.size": "many"}, 'leaf.size: "many" is not allowed; expected a whole number'),
        ({"needed.more": "1"}, "needed.more: needed is 1 and has no fields"),
    ],
)
def test_a_wrong_change_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        replace_dotted(Tree(needed=1), changes)
    assert str(raised.value) == message


def test_differences_name_every_leaf() -> None:
    old = {"a": {"b": 1, "c": 2}, "d": [1], "gone": True}
    new = {"a": {"b": 1, "c": 3}, "d": [1, 2], "fresh": None, "e": 1}
    assert list(differences(old, new)) == [
        ("a.c", 2, 3),
        ("d", [1], [1, 2]),
        ("gone", True, None),
        ("e", None, 1),
    ]
    assert list(differences({"a": 1}, {"a": True})) == [("a", 1, True)]
