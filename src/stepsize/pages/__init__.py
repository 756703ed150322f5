"""Pictures and pages of runs and sweeps, and the gallery of schedules."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily
from stepsize.pages._gallery import GALLERY as GALLERY
from stepsize.pages._gallery import example as example
from stepsize.pages._gallery import explanation as explanation
from stepsize.pages._gallery import gallery_picture as gallery_picture
from stepsize.pages._gallery import signature as signature
from stepsize.pages._gallery import summary as summary
from stepsize.pages._shown import shown as shown

if TYPE_CHECKING:  # what needs torch, which schedules do not
    from stepsize.pages._pictures import comparison as comparison
    from stepsize.pages._pictures import picture as picture
    from stepsize.pages._pictures import sweep_picture as sweep_picture
    from stepsize.pages._report import report as report
    from stepsize.pages._scale_picture import scale_picture as scale_picture

__getattr__, __dir__ = lazily(
    __name__,
    {
        "_pictures": "comparison picture sweep_picture",
        "_report": "report",
        "_scale_picture": "scale_picture",
    },
)

__all__ = [
    "GALLERY",
    "comparison",
    "example",
    "explanation",
    "gallery_picture",
    "picture",
    "report",
    "scale_picture",
    "shown",
    "signature",
    "summary",
    "sweep_picture",
]
