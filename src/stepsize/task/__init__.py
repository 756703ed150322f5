"""Tasks, the trials they start as runs, the supervised builder and the built-in tasks."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily
from stepsize.task._axes import AXES as AXES
from stepsize.task._axes import Axis as Axis
from stepsize.task._axes import axes_of as axes_of
from stepsize.task._axes import canonical as canonical
from stepsize.task._axes import check_takes as check_takes
from stepsize.task._axes import table_of as table_of
from stepsize.task._catalogue import CATALOGUE as CATALOGUE
from stepsize.task._forms import LARGEST as LARGEST
from stepsize.task._names import TaskFileError as TaskFileError
from stepsize.task._names import full_name as full_name
from stepsize.task._names import with_attribute as with_attribute
from stepsize.task._ranks import Ranks as Ranks
from stepsize.task._ranks import leads as leads
from stepsize.task._ranks import ranks as ranks
from stepsize.task._ranks import together as together

if TYPE_CHECKING:  # what needs torch, which names, words and axes do not
    from stepsize.task._batches import Shuffled as Shuffled
    from stepsize.task._branch import Branches as Branches
    from stepsize.task._checkpoint import CheckpointError as CheckpointError
    from stepsize.task._checkpoint import steps_done as steps_done
    from stepsize.task._contract import Resumable as Resumable
    from stepsize.task._contract import Startable as Startable
    from stepsize.task._contract import Training as Training
    from stepsize.task._contract import Trial as Trial
    from stepsize.task._contract import key_of as key_of
    from stepsize.task._contract import seed_of as seed_of
    from stepsize.task._distributed import led as led
    from stepsize.task._distributed import locked_by_first as locked_by_first
    from stepsize.task._faces import Batchable as Batchable
    from stepsize.task._faces import Paced as Paced
    from stepsize.task._faces import Probed as Probed
    from stepsize.task._faces import device_of as device_of
    from stepsize.task._faces import has_ended as has_ended
    from stepsize.task._faces import prepare as prepare
    from stepsize.task._files import read_state as read_state
    from stepsize.task._files import save_state as save_state
    from stepsize.task._given import loss_of as loss_of
    from stepsize.task._given import measured as measured
    from stepsize.task._given import model_of as model_of
    from stepsize.task._own import own_settings as own_settings
    from stepsize.task._parcel import Parcel as Parcel
    from stepsize.task._parcel import packed as packed
    from stepsize.task._parcel import unpacked as unpacked
    from stepsize.task._part import check_size as check_size
    from stepsize.task._registry import BUILT_IN as BUILT_IN
    from stepsize.task._registry import known_tasks as known_tasks
    from stepsize.task._registry import takes_data as takes_data
    from stepsize.task._registry import task_named as task_named
    from stepsize.task._settings import squeezed as squeezed
    from stepsize.task._sources import TaskChangedWarning as TaskChangedWarning
    from stepsize.task._sources import changes as changes
    from stepsize.task._sources import named_sources as named_sources
    from stepsize.task._sources import sources_of as sources_of
    from stepsize.task._supervised import Task as Task
    from stepsize.task._suspicion import check_verifiable as check_verifiable
    from stepsize.task._train import train as train
    from stepsize.task._trained import Trained as Trained
    from stepsize.task._trained import TrainingInterrupted as TrainingInterrupted

__getattr__, __dir__ = lazily(
    __name__,
    {
        "_batches": "Shuffled",
        "_branch": "Branches",
        "_checkpoint": "CheckpointError steps_done",
        "_contract": "Resumable Startable Training Trial key_of seed_of",
        "_distributed": "led locked_by_first",
        "_faces": "Batchable Paced Probed device_of has_ended prepare",
        "_files": "read_state save_state",
        "_given": "loss_of measured model_of",
        "_own": "own_settings",
        "_parcel": "Parcel packed unpacked",
        "_part": "check_size",
        "_registry": "BUILT_IN known_tasks takes_data task_named",
        "_settings": "squeezed",
        "_sources": "TaskChangedWarning changes named_sources sources_of",
        "_supervised": "Task",
        "_suspicion": "check_verifiable",
        "_train": "train",
        "_trained": "Trained TrainingInterrupted",
    },
)

__all__ = [
    "AXES",
    "BUILT_IN",
    "CATALOGUE",
    "LARGEST",
    "Axis",
    "Batchable",
    "Branches",
    "CheckpointError",
    "Paced",
    "Parcel",
    "Probed",
    "Ranks",
    "Resumable",
    "Shuffled",
    "Startable",
    "Task",
    "TaskChangedWarning",
    "TaskFileError",
    "Trained",
    "Training",
    "TrainingInterrupted",
    "Trial",
    "axes_of",
    "canonical",
    "changes",
    "check_size",
    "check_takes",
    "check_verifiable",
    "device_of",
    "full_name",
    "has_ended",
    "key_of",
    "known_tasks",
    "leads",
    "led",
    "locked_by_first",
    "loss_of",
    "measured",
    "model_of",
    "named_sources",
    "own_settings",
    "packed",
    "prepare",
    "ranks",
    "read_state",
    "save_state",
    "seed_of",
    "sources_of",
    "squeezed",
    "steps_done",
    "table_of",
    "takes_data",
    "task_named",
    "together",
    "train",
    "unpacked",
    "with_attribute",
]
