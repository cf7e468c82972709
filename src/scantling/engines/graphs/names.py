"""The names of what goes into a graph and of what comes out of it."""

from ...specs.metadata import Metadata

INPUT = "images"


def output_names(metadata: Metadata, count: int) -> tuple[str, ...]:
    """Name of each output, in order.

    Args:
        metadata: its form says what the outputs are.
        count: how many there are.
    """
    if metadata.form.gives == "raw":
        return tuple(f"raw{level}" for level in range(count))
    return ("boxes", "scores") if metadata.form.gives == "candidates" else ("detections",)
