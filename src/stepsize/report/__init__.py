"""The pages a person looks at: the picture of a run."""

from stepsize.report._picture import picture as picture

__all__ = ["picture"]
