"""Distances between all pairs of points, one after the other, and figures from them."""

import math


def nearest(point, others):
    distances = [math.dist(point, other) for other in others]
    least = min(distances)
    return least, distances.index(least)


def surface(predicted, truth, predicted_normals, truth_normals, threshold):
    there = [nearest(point, truth) for point in predicted]
    back = [nearest(point, predicted) for point in truth]
    precision = sum(d < threshold for d, _ in there) / len(there)
    recall = sum(d < threshold for d, _ in back) / len(back)

    def agreement(found, normals, others):
        cosines = [
            abs(sum(a * b for a, b in zip(normals[i], others[j], strict=True))) for i, (_, j) in enumerate(found)
        ]
        return sum(cosines) / len(cosines)

    return {
        "chamfer_l1": (sum(d for d, _ in there) / len(there) + sum(d for d, _ in back) / len(back)) / 2,
        "chamfer_l2": sum(d * d for d, _ in there) / len(there) + sum(d * d for d, _ in back) / len(back),
        "f_score": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "normal_consistency": (
            agreement(there, predicted_normals, truth_normals) + agreement(back, truth_normals, predicted_normals)
        )
        / 2,
    }


def iou(predicted, truth):
    both = sum(a and b for a, b in zip(predicted, truth, strict=True))
    either = sum(a or b for a, b in zip(predicted, truth, strict=True))
    return both / either if either else 1.0


def near_accuracy(predicted, truth, distances, near):
    right = [a == b for a, b, d in zip(predicted, truth, distances, strict=True) if -near <= d <= near]
    return sum(right) / len(right) if right else None
