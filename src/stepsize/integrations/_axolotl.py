"""axolotl: a plugin, so that the configuration of a run names its schedule."""

from typing import Any

from stepsize import _extras
from stepsize.integrations._transformers import check_plan, drive_trainer


def axolotl_plugin() -> Any:
    """A plugin of axolotl that drives the rates of its trainer by the plan under ``stepsize:``.

    In the configuration, ``plugins: [stepsize.integrations.axolotl_plugin]`` and
    ``stepsize: {lr: warmup(5%) >> cosine()}``, which takes what ``drive_trainer`` takes, in place of ``lr_scheduler``
    and the warm-up. ``learning_rate`` is the base.

    Raises:
        TypeError, ValueError: there is no plan, or it is invalid; when the configuration is read.
        ImportError: axolotl is not installed.

    Example:
        >>> from stepsize.integrations import axolotl_plugin
        >>> plugin = axolotl_plugin()  # doctest: +SKIP
        >>> plugin.register({"stepsize": {"lr": "cosin()"}})  # doctest: +SKIP
        Traceback (most recent call last):
        stepsize.schedule._text.ScheduleTextError: there is no piece 'cosin'; did you mean 'cosine'?

    Source: ``axolotl.integrations.base.BasePlugin``.
    """
    base = _extras.load("axolotl.integrations.base", "axolotl", "axolotl_plugin()").BasePlugin
    return type("RatePlugin", (_Hooks, base), {})()


class _Hooks:
    """Hooks for reading the configuration and for the trainer."""

    def register(self, cfg: Any) -> None:
        """Refuse a wrong plan before anything is loaded."""
        plan = cfg.get("stepsize")
        if not isinstance(plan, dict):
            raise ValueError(
                f"stepsize must be a mapping with a plan, got {plan!r}; write for example "
                "stepsize: {lr: warmup(5%) >> cosine()}, or take the plugin out"
            )
        check_plan(**plan)

    def get_input_args(self) -> str:
        """The path of the configuration model with the additional key."""
        return f"{__name__}.Arguments"

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        drive_trainer(trainer, **cfg["stepsize"])


def __getattr__(name: str) -> Any:
    if name == "Arguments":  # by its path, from axolotl, which has pydantic
        return _extras.load("pydantic", "axolotl", "axolotl_plugin()").create_model(
            name, stepsize=(dict[str, Any], ...)
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
