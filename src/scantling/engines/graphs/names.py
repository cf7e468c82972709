"""The names of what goes into a graph and of what comes out of it."""

from ...specs.metadata import Card

INPUT = "images"


def output_names(card: Card, count: int) -> tuple[str, ...]:
    """Name of each output, in order.

    Args:
        card: its form says what the outputs are.
        count: how many there are.
    """
    if card.form.gives == "raw":
        return tuple(f"raw{level}" for level in range(count))
    return ("boxes", "scores") if card.form.gives == "candidates" else ("detections",)
