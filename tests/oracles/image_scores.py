"""SSIM from its formula, one window at a time."""

import numpy as np


def ssim(first, second, data_range, window=7):
    """Mean over all whole windows of the product of luminance, contrast and structure, with sample (co)variances."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for row in range(first.shape[0] - window + 1):
        for column in range(first.shape[1] - window + 1):
            a = first[row : row + window, column : column + window].ravel()
            b = second[row : row + window, column : column + window].ravel()
            covariance = ((a - a.mean()) * (b - b.mean())).sum() / (len(a) - 1)
            values.append(
                (2 * a.mean() * b.mean() + c1)
                * (2 * covariance + c2)
                / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var(ddof=1) + b.var(ddof=1) + c2))
            )
    return float(np.mean(values))
