"""Registered types: several templates a type, adding, removing, keeping, refusing."""

import numpy as np
import pytest

from sightbook.docclass.registry import Registry, RegistryError, top_two


def unit(*rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def registry():
    made = Registry("model-a", 3)
    made.add("passport", unit([1, 0, 0]))
    made.add("licence", unit([0, 1, 0], [0, 0, 1]))
    return made


def test_a_type_scores_by_its_nearest_template(registry):
    scores = registry.scores(unit([0, 0, 1], [1, 1, 0]))
    np.testing.assert_allclose(scores, [[0, 1], [0.5**0.5, 0.5**0.5]], atol=1e-6)
    assert registry.types == ["passport", "licence"]
    assert len(registry) == 3


def test_adding_to_a_known_type_and_removing_take_effect_at_once(registry):
    query = unit([0, 1, 1])
    registry.add("passport", unit([0, 1, 1])[0])
    assert registry.scores(query)[0].argmax() == 0
    registry.remove("passport")
    assert registry.types == ["licence"]
    assert registry.scores(query).shape == (1, 1)
    with pytest.raises(RegistryError, match="'passport' is not registered; there are licence"):
        registry.remove("passport")


def test_the_runner_up_is_another_type():
    scores = np.array([[0.2, 0.9, 0.5], [0.7, 0.1, 0.3]], np.float32)
    found = top_two(scores, ["a", "b", "c"])
    assert [(row[0], row[2]) for row in found] == [("b", "c"), ("a", "c")]
    assert found[0][1] == pytest.approx(0.9)
    assert found[0][3] == pytest.approx(0.5)
    assert top_two(scores[:, :1], ["a"])[0][2] is None


def test_saved_and_read_back_without_pickles(registry, tmp_path):
    registry.add("健保卡 ü", unit([1, 2, 3]))
    path = registry.save(tmp_path / "größe.npz")
    again = Registry.load(path, "model-a")
    assert again.types == registry.types
    np.testing.assert_array_equal(again.templates("licence"), registry.templates("licence"))
    with np.load(path, allow_pickle=False) as kept:
        assert set(kept) == {"model", "types", "embeddings"}


def test_a_registry_of_another_model_is_refused_naming_both(registry, tmp_path):
    path = registry.save(tmp_path / "r.npz")
    with pytest.raises(RegistryError, match="made by model model-a, this is model model-b"):
        Registry.load(path, "model-b")


def test_what_is_no_registry_is_refused(registry, tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK no")
    np.savez(tmp_path / "y.npz", a=np.zeros(3))
    for name in ("x.npz", "y.npz", "absent.npz"):
        with pytest.raises(RegistryError, match=f"{name}: is no registry"):
            Registry.load(tmp_path / name)
    with pytest.raises(RegistryError, match="registry is empty"):
        Registry("m", 3).scores(unit([1, 0, 0]))
    with pytest.raises(RegistryError, match=r"this registry holds \[n, 3\]"):
        registry.add("x", np.ones((1, 4), np.float32))
    with pytest.raises(RegistryError, match="needs a name"):
        registry.add(" ", unit([1, 0, 0]))


def test_a_hundred_thousand_templates_are_matched_as_a_few_are():
    rng = np.random.default_rng(0)
    rows = unit(*rng.standard_normal((100_000, 16)))
    made = Registry("m", 16)
    for start in range(0, 100_000, 100):
        made.add(f"type {start // 100}", rows[start : start + 100])
    scores = made.scores(rows[[12_345]])
    assert scores.shape == (1, 1000)
    assert top_two(scores, made.types)[0][:2] == ("type 123", pytest.approx(1.0, abs=1e-5))
