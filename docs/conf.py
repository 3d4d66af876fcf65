"""Settings of the documentation site: `python -m sphinx -W --keep-going -n docs site` builds it."""

import importlib
import re
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from notebooks import add_link, write_notebooks

project = "stn_jax"
author = "the stn_jax authors"
copyright = "the stn_jax authors; Apache-2.0"
release = metadata.version("stn_jax")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
smartquotes_action = "D"  # dashes only: quotation marks are often code
suppress_warnings = ["myst.header"]  # pages include parts of files that start below level 2

toc_object_entries_show_parents = "hide"
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
    "navbar_persistent": [],
    "home_page_in_toc": False,
}

PACKAGES = ["stn_jax", "stn_jax.transforms", "stn_jax.sampling", "stn_jax.functional"]
PACKAGES += ["stn_jax.linen", "stn_jax.nnx", "stn_jax.visualization", "stn_jax.native"]


RESULTS = (Path(__file__).parents[1] / "results" / "README.md").read_text()
FRONT = importlib.import_module("stn_jax").__all__


def documented_path(name: str, package: str) -> str | None:
    """Returns the path under which the reference describes a public name, if it is one.

    A name without its package is looked up in the given package first.
    """
    module, _, attribute = name.rpartition(".")
    others = [each for each in PACKAGES if each != "stn_jax.nnx"]  # it has the names of Linen
    for each in [module] if module else [package, *others]:
        if each in PACKAGES and attribute in importlib.import_module(each).__all__:
            is_front = attribute in FRONT and each != "stn_jax.nnx"
            return f"stn_jax.{attribute}" if is_front else f"{each}.{attribute}"
    return None


def as_restructured_text(app, what, name, thing, options, lines) -> None:
    """Translates the few marks that docstrings use; public names become links."""
    package = max((package for package in PACKAGES if name.startswith(package)), key=len)

    def translated(match: re.Match) -> str:
        code = match[1]
        if code is None:
            return f"\\{match[0]}"  # an asterisk or a bar outside of code
        path = documented_path(code, package)
        return f":py:obj:`{code} <{path}>`" if path else f"``{code}``"

    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            line = re.sub(r"`([^`]+)`|[*|]", translated, line)
            lines[number] = re.sub(r"^( +)UserError\b", r"\1stn_jax.errors.UserError", line)


def short_signature(app, what, name, thing, options, signature, returns):
    """Leaves out the two arguments that Flax Linen adds to each module."""
    return signature and re.sub(r", parent=.*, name=None", "", signature), returns


def add_results(app, page, source) -> None:
    """Puts sections of results/README.md in the places of `<!-- results: START OF TITLE -->`."""

    def section(match: re.Match) -> str:
        found = re.search(
            rf"^## {match[1]}.*?\n(.*?)(?=^## |\Z)", RESULTS, re.DOTALL | re.MULTILINE
        )
        if not found:
            return "No run is on record yet.\n"
        return re.sub(r"\]\((?!https?:)", "](../results/", found[1])

    source[0] = re.sub(r"<!-- results: (.*) -->", section, source[0])


def link_names(app, page, source) -> None:
    """Leads links from a name to its source, for readers of the files, to the name's entry."""

    def role(match: re.Match) -> str:
        name, file = match[1], match[2].removesuffix(".py").removesuffix("/__init__")
        module = file.replace("/", ".")
        path = documented_path(name, ".".join(module.split(".")[:2]))
        return f"{{py:obj}}`{name} <{path or f'{module}.{name}'}>`"

    source[0] = re.sub(r"\[`([\w.]+)`\]\((?:\.\./)+(stn_jax/[\w/]+\.py)\)", role, source[0])


def setup(app) -> None:
    # Before napoleon, which has the default priority of 500.
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)
    app.connect("source-read", add_results)
    app.connect("source-read", link_names)
    app.connect("source-read", add_link)
    app.connect("build-finished", write_notebooks)
    app.connect("autodoc-process-signature", short_signature)
