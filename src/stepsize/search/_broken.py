"""When a run counts as broken: one rule for all that compare rates."""

LOST = 0.5  # a run that loses this share of the best one's progress is broken


def is_broken(score: float, best: float, initial: float) -> bool:
    """Whether a run lost half of the progress that the best one made from the same start, or made none.

    Formula:
        score > initial - (initial - best) / 2

    Args:
        score: that it reached, lower is better; infinite or NaN where it diverged.
        best: the lowest that any run reached.
        initial: before any training.

    Example:
        >>> from stepsize.search import is_broken
        >>> is_broken(2.29, best=0.1, initial=2.3), is_broken(0.3, best=0.1, initial=2.3)
        (True, False)
    """
    return not score <= initial - LOST * (initial - best)
