"""Settings of the documentation site: `python -m sphinx -W --keep-going -n docs site` builds it."""

import importlib
import re
from importlib import metadata

project = "stn_jax"
author = "The stn_jax authors"
copyright = "The stn_jax authors, Apache-2.0"
release = metadata.version("stn_jax")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # pages include parts of files that start below level 2

autodoc_typehints = "none"  # the docstrings say shapes and dtypes
autodoc_member_order = "bysource"
# The attributes of a module or dataclass are the arguments of its constructor.
napoleon_custom_sections = [("Attributes", "params_style")]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "sphinx_book_theme"
html_title = "stn_jax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": False,
}

PACKAGES = ["stn_jax", "stn_jax.transforms", "stn_jax.sampling", "stn_jax.functional"]
PACKAGES += ["stn_jax.linen", "stn_jax.nnx", "stn_jax.visualization", "stn_jax.native"]


FRONT = importlib.import_module("stn_jax").__all__


def documented_path(name: str, package: str) -> str | None:
    """Returns the path under which the reference describes a public name of `package`."""
    module, _, attribute = name.rpartition(".")
    module = module or package
    if module not in PACKAGES or attribute not in importlib.import_module(module).__all__:
        return None
    is_front = attribute in FRONT and module != "stn_jax.nnx"
    return f"stn_jax.{attribute}" if is_front else f"{module}.{attribute}"


def link_names(app, what, name, thing, options, lines) -> None:
    """Makes code in a docstring look like code, and public names links.

    The docstrings have single backticks, as in Markdown; reStructuredText has two.
    """
    package = max((package for package in PACKAGES if name.startswith(package)), key=len)

    def role(match: re.Match) -> str:
        path = documented_path(match[1], package)
        return f":py:obj:`{match[1]} <{path}>`" if path else f"``{match[1]}``"

    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[number] = re.sub(r"(?<!`)`([^`]+)`(?!`)", role, line)


def short_signature(app, what, name, thing, options, signature, returns):
    """Leaves out the two arguments that Flax Linen adds to each module."""
    return re.sub(r", parent=.*, name=None", "", signature or ""), returns


def setup(app) -> None:
    app.connect("autodoc-process-docstring", link_names)
    app.connect("autodoc-process-signature", short_signature)
