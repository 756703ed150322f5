"""The site: ``make docs`` builds it from these pages, the docstrings and the programs of examples/gallery."""

import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small networks are quickest so, and figures come out the same
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]))

import _pages  # noqa: E402 - the folder of this file is on the path only now

import stepsize  # noqa: E402

project = "stepsize"
author = "the stepsize authors"
project_copyright = author
version = release = stepsize.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["build", "gallery/*.py", "gallery/*.ipynb", "gallery/*.md5", "gallery/*.json", "gallery/*.zip"]
suppress_warnings = ["config.cache", "myst.header"]
show_warning_types = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

autodoc_typehints = "none"  # the signatures' own, as written
autodoc_member_order = "groupwise"
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "stepsize"
html_static_path = ["_static"]
html_css_files = ["stepsize.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

sphinx_gallery_conf = {
    "examples_dirs": ["../examples/gallery"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py",
    "ignore_pattern": r"(^|/)_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "first_notebook_cell": _pages.FIRST_CELL,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "reset_modules": (_pages.fresh,),
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,  # its page asks a server for its table
    "within_subsection_order": "FileNameSortKey",
    "min_reported_time": 5,
}


def setup(app):
    """Hang in what turns the project's files into pages, and the check that every public name is documented."""
    app.connect("config-inited", lambda app, config: made_pages(), priority=100)
    _pages.fields_in_notebooks()
    app.connect("source-read", _pages.leave_the_folder)
    app.connect("autodoc-process-docstring", _pages.formulas, priority=100)
    app.connect("env-check-consistency", everything_is_documented)
    return {"parallel_read_safe": True}


def rooms():
    """The rooms of the package, and the public names of each, those of daily use first."""
    every = {room: importlib.import_module(f"stepsize.{room}").__all__ for room in sorted(stepsize._ROOMS)}
    daily = set(stepsize.__all__)
    return {room: sorted(names, key=lambda name: (name not in daily, name.isupper())) for room, names in every.items()}


def made_pages():
    """Write the pages that are made of other files."""
    _pages.bring_in()
    _pages.reference(rooms())


def everything_is_documented(app, environment):
    """Fail where a public name is on no page of the reference."""
    from sphinx.util import logging

    known = {name for name, *_ in environment.get_domain("py").get_objects()}
    public = rooms()
    for room, names in public.items():
        for name in names:
            if not _pages.is_described(room, name, known, public):
                logging.getLogger("stepsize").warning("stepsize.%s.%s has no description in the reference", room, name)
