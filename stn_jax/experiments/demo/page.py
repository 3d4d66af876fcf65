"""The page itself, with a tab for each task that has networks (Gradio)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import fastapi
import gradio as gr

from stn_jax.experiments.demo.server import MAX_UPLOAD_MEGABYTES
from stn_jax.experiments.demo.shown_networks import Named
from stn_jax.experiments.demo.tabs import AT_ONCE, TABS

UPLOADS_KEPT_SECONDS = 60

_FOLDER = Path(__file__).parent


def build_page(networks: Mapping[str, Sequence[Named]]) -> gr.Blocks:
    """Builds the page without serving it; a task has a tab if there are networks for it."""
    shown = [task for task in TABS if networks[task]]
    with gr.Blocks(
        title="Spatial transformer networks",
        analytics_enabled=False,
        delete_cache=(UPLOADS_KEPT_SECONDS, UPLOADS_KEPT_SECONDS),
    ) as page:
        gr.HTML(
            "<h3>Spatial transformer networks</h3><p>Each network says what it sees in your "
            "picture. A spatial transformer first looks for the object: the part under its grid "
            "is cut out, turned and enlarged, and the rest of the network sees only this output. "
            "The thick blue line is the top of the output.</p>",
            elem_classes="stn-title",
        )
        with gr.Tabs() as tabs:
            for task in shown:
                name, _, build = TABS[task]
                with gr.Tab(name, id=task):
                    build(page, networks[task])

        def linked_tab(request: gr.Request):
            """Opens the tab that a link is for."""
            linked = (task for task in shown if TABS[task][1] in request.query_params)
            task = next(linked, None)
            return gr.Tabs(selected=task) if task else gr.skip()

        page.load(linked_tab, None, tabs, **AT_ONCE)
    return page


def page_app(page: gr.Blocks) -> fastapi.FastAPI:
    """Returns the page as an app for a web server."""
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        max_file_size=f"{MAX_UPLOAD_MEGABYTES}mb",
        show_error=False,
        theme=gr.themes.Default(
            primary_hue="blue",
            # The system's fonts: others would be fetched from the network.
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
            spacing_size="sm",
        ),
        css=(_FOLDER / "page.css").read_text(),
        footer_links=[],
        ssr_mode=False,
    )
