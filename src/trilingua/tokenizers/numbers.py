"""Real numbers to bins and back: equal steps over a closed range."""

from dataclasses import dataclass

from trilingua.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class NumberGrid:
    """Bins at `low`, `low + step`, ... `high`.

    Source: Kyvo, section 3.1 and Table 3 (-3.00 to 3.00 by 0.05: 121 numbers).
    """

    low: float = -3.0
    """The first bin's number, in the unit of what is written."""
    high: float = 3.0
    """The last bin's number."""
    step: float = 0.05
    """Distance of neighbouring bins, above 0; it divides the range."""

    def __post_init__(self) -> None:
        if not (self.step > 0 and self.high > self.low):
            raise ConfigError(f"low, high, step: {self.low}, {self.high}, {self.step}; expected low < high, step > 0")
        steps = (self.high - self.low) / self.step
        if abs(steps - round(steps)) > 1e-6:
            raise ConfigError(f"step: {self.step} does not divide the range from {self.low} to {self.high}; change one")

    def __len__(self) -> int:
        return round((self.high - self.low) / self.step) + 1

    def bin(self, value: float) -> int:
        """Return the bin nearest to `value`, in [0, len(self)); values outside fall into the end bins."""
        return round(min(max((value - self.low) / self.step, 0), len(self) - 1))

    def value(self, bin_index: int | float) -> float:
        """Return the number at the middle of a bin, or at a tenth of the way between two."""
        return round(self.low + round(bin_index, 1) * self.step, 6) + 0.0  # rounded so that it prints as it was meant
