"""TensorBoard's event file without the thread behind it: a full disk is an error of the call that meets it."""

import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import FileWriter, SummaryWriter

from stepsize.state import AppendedFile

_numbers = itertools.count()  # two writers of one second and process get files of their own


class Writer(SummaryWriter):
    """Torch's ``SummaryWriter``, each of whose events is written through at once and whole.

    Args:
        folder: of the event files.
        purge_step: the step from which what earlier files say is not to be shown; None for all of it.
    """

    file_writer: Any
    all_writers: Any

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        super().__init__(folder, purge_step=purge_step)

    def sync(self) -> None:
        """Wait until all of it would survive a power cut."""
        if self.file_writer is not None:
            self.file_writer.event_writer.file.sync()

    def add_settings(self, settings: dict[str, Any], figures: dict[str, float]) -> None:
        """The entries of ``add_hparams``, but beside the run's own curves instead of in a folder below.

        Args:
            settings: plain, by name.
            figures: by name, whose last values are compared.
        """
        writer = self._get_file_writer()
        for summary in hparams(settings, figures)[:2]:  # type: ignore[no-untyped-call]  # the third tells the end
            writer.add_summary(summary)

    def _get_file_writer(self) -> Any:
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = FileWriter.__new__(FileWriter)  # its own __init__ begins the thread
            self.file_writer.event_writer = _Events(self.log_dir)
            self.all_writers = {self.log_dir: self.file_writer}
            if self.purge_step is not None:
                begins = Event(step=self.purge_step, file_version="brain.Event:2")
                self.file_writer.add_event(begins, self.purge_step)
                again = Event(step=self.purge_step, session_log=SessionLog(status=SessionLog.START))
                for _ in range(2):  # TensorBoard's server takes the first that it sees for the run's beginning
                    self.file_writer.add_event(again, self.purge_step)
                self.purge_step = None
        return self.file_writer


class _Events:
    """The file of a ``FileWriter``."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        host, number = socket.gethostname(), next(_numbers)
        name = f"events.out.tfevents.{int(time.time()):010d}.{host}.{os.getpid()}.{number}"
        self.file = AppendedFile(Path(folder, name))
        self._records = RecordWriter(self.file)
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def get_logdir(self) -> str:
        return self.folder

    def add_event(self, event: Any) -> None:
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        """Nothing waits to be written."""

    def close(self) -> None:
        self.file.close()
