"""Plots are whole SVG, with every figure in its place."""

from xml.etree import ElementTree

import numpy as np
import pytest

from trilingua.app.plots import reliability_diagram
from trilingua.metrics.calibration import compute_calibration

SVG = "{http://www.w3.org/2000/svg}"


def test_discs_stand_where_score_and_accuracy_are() -> None:
    scores = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95])
    correct = np.array([False, True, True, True, True, True, True, False])
    calibration = compute_calibration(scores, correct)
    svg = ElementTree.fromstring(reliability_diagram({"a < b": calibration, "same": calibration}))
    discs = [{key: float(disc.get(key, "")) for key in ("cx", "cy", "r")} for disc in svg.iter(f"{SVG}circle")]
    assert len(discs) == 4
    side = 360 - 2 * 48
    for disc, score, accuracy in zip(discs, [0.05, 0.95] * 2, [0.5, 5 / 6] * 2, strict=True):
        assert disc["cx"] == pytest.approx(48 + side * score, abs=0.06)
        assert disc["cy"] == pytest.approx(360 - 48 - side * accuracy, abs=0.06)
    assert (discs[1]["r"] / discs[0]["r"]) ** 2 == pytest.approx(3, rel=0.05)
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert f"a < b: error {calibration.error:.3f}" in texts
    assert {"score", "share that is right"} <= set(texts)
