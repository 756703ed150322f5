"""Hooks of trainers: one line puts a plan to work in Lightning or Transformers. Each is loaded when it is used."""

from stepsize.integrations._find_lightning import find_in_module as find_in_module
from stepsize.integrations._find_transformers import find_in_trainer as find_in_trainer
from stepsize.integrations._lightning import lightning_callback as lightning_callback
from stepsize.integrations._on_resume import on_resume as on_resume
from stepsize.integrations._transformers import drive_trainer as drive_trainer

__all__ = ["drive_trainer", "find_in_module", "find_in_trainer", "lightning_callback", "on_resume"]
