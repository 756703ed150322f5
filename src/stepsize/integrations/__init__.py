"""Hooks of trainers: one line puts a plan to work in what trains. Each is loaded when it is used."""

from stepsize.integrations._axolotl import axolotl_plugin as axolotl_plugin
from stepsize.integrations._fastai import fastai_callback as fastai_callback
from stepsize.integrations._find_lightning import find_in_module as find_in_module
from stepsize.integrations._find_transformers import find_in_trainer as find_in_trainer
from stepsize.integrations._keras import keras_schedule as keras_schedule
from stepsize.integrations._lightning import lightning_callback as lightning_callback
from stepsize.integrations._on_resume import on_resume as on_resume
from stepsize.integrations._transformers import drive_trainer as drive_trainer

__all__ = [
    "axolotl_plugin",
    "drive_trainer",
    "fastai_callback",
    "find_in_module",
    "find_in_trainer",
    "keras_schedule",
    "lightning_callback",
    "on_resume",
]
