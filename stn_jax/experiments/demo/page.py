"""The page itself: its elements (Gradio) and what happens when they are used.

Nothing that the browser sends is used as a path: drawings come as `data:` URLs, and an uploaded
file is one that the server has just stored under a name that it chose.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import fastapi
import gradio as gr
import numpy as np
from PIL import Image

from stn_jax.errors import UserError, printable
from stn_jax.experiments.data.picture_files import open_image
from stn_jax.experiments.demo import digits, numbers
from stn_jax.experiments.demo.cards import (
    cards,
    class_chart,
    data_url,
    message,
    network_card,
    number_chart,
    ranking,
)
from stn_jax.experiments.demo.server import MAX_UPLOAD_MEGABYTES
from stn_jax.experiments.demo.shown_networks import Named, look
from stn_jax.experiments.distorted_mnist.digit_pictures import centred
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.traffic_signs.classes import CLASS_NAMES
from stn_jax.experiments.traffic_signs.drawn_signs import SIGNS, View, photograph
from stn_jax.experiments.traffic_signs.task import network_input
from stn_jax.experiments.trained_networks import Network

UPLOADS_KEPT_SECONDS = 60
MAX_SCENE = 999

_FOLDER = Path(__file__).parent
_SLIDERS = {
    "turn": ("Turn left (degrees)", -90, 90, 1),
    "scale": ("Scale", 0.5, 1.5, 0.05),
    "right": ("Shift right (pixels)", -14, 14, 0.5),
    "down": ("Shift down (pixels)", -14, 14, 0.5),
    "bend": ("Bend (pixels)", -8, 8, 0.5),
}
"""(label, lowest, highest, step) of each field of `digits.Pose`."""

_VIEW_SLIDERS = {
    "turn": ("Turn left (degrees)", -90, 90, 1),
    "scale": ("Scale", 0.4, 1.5, 0.05),
    "right": ("Shift right (%)", -40, 40, 1),
    "down": ("Shift down (%)", -40, 40, 1),
    "shade": ("Shade", 0, 1, 0.05),
    "blur": ("Blur (%)", 0, 8, 0.5),
}
"""The same of each field of `View`."""

_WAIT = message("Loading the networks ...")

# Each event is answered at once. Of those that arrive meanwhile, only the last one is answered.
_AT_ONCE: dict = {
    "show_progress": "hidden",
    "queue": False,
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


def digit_view(
    networks: Sequence[Named], digit: np.ndarray | None, pose: digits.Pose, note: str = ""
) -> str:
    """Shows what each network makes of a digit [28, 28, 1] in a pose; None if there is no digit."""
    if digit is None:
        return message(digits.NOTHING_DRAWN)
    # Sliders may return integers, for which JAX would compile the program again.
    pose = digits.Pose(*map(float, pose))
    shown = []
    for name, network in networks:
        image = np.asarray(digits.distort(digit, pose, canvas=network.input_shape[0]))
        shown.append(_card(name, network, image, class_chart))
    return cards(shown, note)


def number_view(networks: Sequence[Named], picture: numbers.NumberPicture, note: str = "") -> str:
    """Shows what each network reads in a picture."""
    shown = []
    for name, network in networks:
        image = numbers.network_input(picture, network.config)
        shown.append(_card(name, network, image, number_chart))
    return cards(shown, note)


def sign_view(networks: Sequence[Named], picture: Image.Image, note: str = "") -> str:
    """Shows what each network recognises in a picture of a traffic sign."""
    shown = [
        _card(name, network, network_input(picture, network.config), ranking)
        for name, network in networks
    ]
    return cards(shown, note)


def _card(
    name: str, network: Network, image: np.ndarray, chart: Callable[[np.ndarray, LabelKind], str]
) -> str:
    detail = f"{network.state.num_params:,} parameters"
    return network_card(name, detail, image, look(network, image), network.labels, chart)


def build_page(networks: Mapping[str, Sequence[Named]]) -> gr.Blocks:
    """Builds the page without serving it; a task has a tab if there are networks for it."""
    tabs = {
        "distorted_mnist": ("Digits", _digits_tab),
        "street_numbers": ("Street numbers", _numbers_tab),
        "traffic_signs": ("Traffic signs", _signs_tab),
    }
    with gr.Blocks(
        title="Spatial transformer networks",
        analytics_enabled=False,
        delete_cache=(UPLOADS_KEPT_SECONDS, UPLOADS_KEPT_SECONDS),
    ) as page:
        gr.HTML(
            "<h3>Spatial transformer networks</h3><p>The grid shows where each network samples "
            "its input; the output is what the rest of the network sees.</p>",
            elem_classes="stn-title",
        )
        for task, (name, build) in tabs.items():
            if networks[task]:
                with gr.Tab(name):
                    build(page, networks[task])
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


def _within(limits: Sequence[tuple[float, float] | None]) -> str:
    """Returns JavaScript that clamps an event's inputs to their (lowest, highest), if any.

    The server would refuse a value outside that was typed into a slider's field.
    """
    return f"""(...inputs) => {{
        const limits = {json.dumps(limits)};
        return inputs.map((value, place) => limits[place] === null ? value
            : Math.min(limits[place][1], Math.max(limits[place][0], Number(value) || 0)));
    }}"""


def _limits(sliders: Mapping[str, tuple]) -> list[tuple[float, float]]:
    return [(low, high) for _, low, high, _ in sliders.values()]


def _sliders(values: Sequence[float], sliders: Mapping[str, tuple]) -> list[gr.Slider]:
    return [
        gr.Slider(low, high, value, step=step, label=label, buttons=[])
        for value, (label, low, high, step) in zip(values, sliders.values(), strict=True)
    ]


def _upload_button() -> gr.UploadButton:
    return gr.UploadButton(
        f"Upload a picture (PNG or JPEG, up to {MAX_UPLOAD_MEGABYTES} MB)",
        file_types=["image"],
        type="filepath",
        size="sm",
    )


def _open_upload(path: str) -> Image.Image:
    file = Path(path)
    try:
        return open_image(file)
    except UserError as error:
        # The path where the server stores the file means nothing to the user.
        raise UserError(f"{str(error).replace(printable(file), file.name)}.") from error


def _digits_tab(page: gr.Blocks, networks: Sequence[Named]) -> None:
    digit = gr.State(None)  # [28, 28, 1], or None while nothing is drawn
    note = gr.State("")
    with gr.Row():
        with gr.Column(scale=0, min_width=292, elem_classes="stn-controls"):
            pad = gr.HTML(
                value="",
                html_template='<canvas width="280" height="280" role="img" '
                'aria-label="Draw a digit here"></canvas>',
                js_on_load=(_FOLDER / "drawing_pad.js").read_text(),
                elem_classes="stn-pad",
            )
            with gr.Row():
                pick = gr.Button("Pick one", size="sm", min_width=80)
                clear = gr.Button("Clear", size="sm", min_width=80)
                reset = gr.Button("Reset", size="sm", min_width=80)
            sliders = _sliders(digits.Pose(), _SLIDERS)
        with gr.Column(scale=1, min_width=260, elem_classes="stn-results"):
            view = gr.HTML(_WAIT, apply_default_css=False, elem_classes="stn-view")
    gr.HTML(
        "The networks that come with the package were trained on digits turned by up to 45 "
        "degrees, scaled by 0.7 to 1.2, inside the picture and not bent; the sliders go further. "
        "Picked digits are from MNIST's training set, which these networks have seen.",
        elem_classes="stn-note",
    )

    def shown(digit, note, *pose):
        return digit_view(networks, digit, digits.Pose(*pose), note)

    def drawn(drawing, *pose):
        try:
            digit = centred(digits.read_drawing(drawing))
        except UserError as error:
            return None, "", message(str(error))
        return digit, "", shown(digit, "", *pose)

    def picked(*pose):
        digit, label = digits.pick(int(np.random.default_rng().integers(1000)))
        note = f"MNIST's label: {label}"
        return data_url(digit), digit, note, shown(digit, note, *pose)

    pad.input(drawn, [pad, *sliders], [digit, note, view], **_AT_ONCE)
    pick.click(picked, sliders, [pad, digit, note, view], **_AT_ONCE)
    clear.click(
        lambda: ("", None, "", message(digits.NOTHING_DRAWN)),
        None,
        [pad, digit, note, view],
        **_AT_ONCE,
    )
    reset.click(
        lambda digit, note: (*digits.Pose(), shown(digit, note, *digits.Pose())),
        [digit, note],
        [*sliders, view],
        **_AT_ONCE,
    )
    within = _within([None, None, *_limits(_SLIDERS)])
    for slider in sliders:
        slider.input(shown, [digit, note, *sliders], view, js=within, **_AT_ONCE)
    page.load(picked, sliders, [pad, digit, note, view], **_AT_ONCE)


def _numbers_tab(page: gr.Blocks, networks: Sequence[Named]) -> None:
    with gr.Row():
        with gr.Column(scale=0, min_width=292, elem_classes="stn-controls"):
            number = gr.Textbox("407", label="Number, 1 to 5 digits", max_lines=1)
            scene = gr.Slider(0, MAX_SCENE, 7, step=1, label="Scene", buttons=[])
            another = gr.Button("Another one", size="sm")
            upload = _upload_button()
        with gr.Column(scale=1, min_width=260, elem_classes="stn-results"):
            view = gr.HTML(_WAIT, apply_default_css=False, elem_classes="stn-view")
    gr.HTML(
        "The network that comes with the package was trained on drawn numbers like these. Few of "
        "them were long, and none was a photograph.",
        elem_classes="stn-note",
    )

    def drawn(number, scene):
        try:
            return number_view(networks, numbers.draw(number, int(scene)))
        except UserError as error:
            return message(str(error))

    def another_one(shown):
        """Returns a number and a scene.

        The number differs from the one shown, because its change triggers the drawing.
        """
        rng = np.random.default_rng()
        while True:
            scene = int(rng.integers(MAX_SCENE + 1))
            if (number := numbers.any_number(scene)) != shown:
                return number, scene

    def uploaded(path):
        try:
            picture = numbers.NumberPicture(_open_upload(path), boxes=None)
        except UserError as error:
            return message(str(error))
        return number_view(networks, picture, Path(path).name)

    # Its `input` event would miss pasted text.
    number.change(drawn, [number, scene], view, **_AT_ONCE)
    within = _within([None, (0, MAX_SCENE)])
    scene.input(drawn, [number, scene], view, js=within, **_AT_ONCE)
    another.click(another_one, number, [number, scene], **_AT_ONCE)
    upload.upload(uploaded, upload, view, **_AT_ONCE)
    page.load(drawn, [number, scene], view, **_AT_ONCE)


def _signs_tab(page: gr.Blocks, networks: Sequence[Named]) -> None:
    drawable = {CLASS_NAMES[number]: number for number in sorted(SIGNS)}
    with gr.Row():
        with gr.Column(scale=0, min_width=292, elem_classes="stn-controls"):
            photo = gr.HTML("", elem_classes="stn-photo")
            sign = gr.Dropdown(list(drawable), value="stop", label="Sign")
            with gr.Row():
                another = gr.Button("Another one", size="sm", min_width=80)
                reset = gr.Button("Reset", size="sm", min_width=80)
            upload = _upload_button()
            sliders = _sliders(View(), _VIEW_SLIDERS)
            scene = gr.Slider(0, MAX_SCENE, 7, step=1, label="Scene", buttons=[])
        with gr.Column(scale=1, min_width=260, elem_classes="stn-results"):
            view = gr.HTML(_WAIT, apply_default_css=False, elem_classes=["stn-view", "stn-words"])
    gr.HTML(
        "The networks were trained on photographs of 43 German signs; the signs to choose from are "
        "drawn. In a picture of yours, one sign should fill most of the square in the middle.",
        elem_classes="stn-note",
    )
    inputs = [sign, scene, *sliders]

    def shown(picture, note=""):
        thumbnail = picture.copy()
        thumbnail.thumbnail((320, 320))
        source = data_url(np.asarray(thumbnail) / 255)
        return f'<img alt="the photograph" src="{source}"/>', sign_view(networks, picture, note)

    def drawn(name, scene, *values):
        return shown(photograph(drawable[name], View(*values), int(scene)))

    def another_one(name, _, *values):
        rng = np.random.default_rng()
        name = str(rng.choice([other for other in drawable if other != name]))
        scene = int(rng.integers(MAX_SCENE + 1))
        return name, scene, *drawn(name, scene, *values)

    def uploaded(path):
        try:
            picture = _open_upload(path)
        except UserError as error:
            return "", message(str(error))
        return shown(picture, Path(path).name)

    within = _within([None, (0, MAX_SCENE), *_limits(_VIEW_SLIDERS)])
    sign.input(drawn, inputs, [photo, view], js=within, **_AT_ONCE)
    for slider in (scene, *sliders):
        slider.input(drawn, inputs, [photo, view], js=within, **_AT_ONCE)
    another.click(another_one, inputs, [sign, scene, photo, view], js=within, **_AT_ONCE)
    reset.click(
        lambda name, scene: (*View(), *drawn(name, scene, *View())),
        [sign, scene],
        [*sliders, photo, view],
        **_AT_ONCE,
    )
    upload.upload(uploaded, upload, [photo, view], **_AT_ONCE)
    page.load(drawn, inputs, [photo, view], **_AT_ONCE)
