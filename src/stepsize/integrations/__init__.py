"""Hooks of trainers: one line puts a plan to work in Lightning or Transformers. Each is loaded when it is used."""

from stepsize.integrations._lightning import lightning_callback as lightning_callback
from stepsize.integrations._on_resume import on_resume as on_resume
from stepsize.integrations._transformers import drive_trainer as drive_trainer

__all__ = ["drive_trainer", "lightning_callback", "on_resume"]
