"""The pages a person looks at: the picture of a run, and the gallery of schedules."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily
from stepsize.report._gallery import GALLERY as GALLERY
from stepsize.report._gallery import example as example
from stepsize.report._gallery import explanation as explanation
from stepsize.report._gallery import gallery_picture as gallery_picture
from stepsize.report._gallery import signature as signature
from stepsize.report._gallery import summary as summary

if TYPE_CHECKING:  # what needs torch, which schedules do not
    from stepsize.report._comparison import comparison as comparison
    from stepsize.report._picture import picture as picture
    from stepsize.report._scale_picture import scale_picture as scale_picture
    from stepsize.report._sweep_picture import sweep_picture as sweep_picture

__getattr__, __dir__ = lazily(
    __name__,
    {
        "_comparison": "comparison",
        "_picture": "picture",
        "_scale_picture": "scale_picture",
        "_sweep_picture": "sweep_picture",
    },
)

__all__ = [
    "GALLERY",
    "comparison",
    "example",
    "explanation",
    "gallery_picture",
    "picture",
    "scale_picture",
    "signature",
    "summary",
    "sweep_picture",
]
