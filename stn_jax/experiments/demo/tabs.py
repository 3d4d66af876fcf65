"""The page's tabs: their elements (Gradio) and what happens when they are used.

Nothing that the browser sends is used as a path: drawings come as `data:` URLs, and an uploaded
file is one that the server has just stored under a name that it chose.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from stn_jax.errors import UserError, printable
from stn_jax.experiments.data.picture_files import open_image
from stn_jax.experiments.demo import digits, links, numbers
from stn_jax.experiments.demo.cards import data_url, message
from stn_jax.experiments.demo.server import MAX_UPLOAD_MEGABYTES
from stn_jax.experiments.demo.shown_networks import Named
from stn_jax.experiments.demo.views import digit_view, number_view, picture_view
from stn_jax.experiments.distorted_mnist.digit_pictures import centred
from stn_jax.experiments.traffic_signs.classes import CLASS_NAMES
from stn_jax.experiments.traffic_signs.drawn_signs import SIGNS, View, photograph

MAX_SCENE = 999

_FOLDER = Path(__file__).parent
_VIEW_SLIDERS = {
    "turn": ("Turn left (degrees)", -90, 90, 1),
    "scale": ("Scale", 0.4, 1.5, 0.05),
    "right": ("Shift right (%)", -40, 40, 1),
    "down": ("Shift down (%)", -40, 40, 1),
    "shade": ("Shade", 0, 1, 0.05),
    "blur": ("Blur (%)", 0, 8, 0.5),
}
"""(label, lowest, highest, step) of each field of `View`."""

_WAIT = message("Loading the networks ...")

# Each event is answered at once. Of those that arrive meanwhile, only the last one is answered.
AT_ONCE: dict = {
    "show_progress": "hidden",
    "queue": False,
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


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


def _scene(request: gr.Request, otherwise: int) -> int:
    """Returns the scene of a link."""
    scene = links.whole(request.query_params, "scene", MAX_SCENE)
    return otherwise if scene is None else scene


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


def _seen(
    networks: Sequence[Named], picture: Image.Image, note: str = "", link: str = ""
) -> tuple[str, str]:
    """Returns a picture, made small, and what each network makes of it."""
    thumbnail = picture.copy()
    thumbnail.thumbnail((320, 320))
    source = data_url(np.asarray(thumbnail) / 255)
    photo = f'<img alt="the photograph" src="{source}"/>'
    return photo, picture_view(networks, picture, note, link)


def _uploaded(networks: Sequence[Named], path: str) -> tuple[str, str]:
    try:
        picture = _open_upload(path)
    except UserError as error:
        return "", message(str(error))
    return _seen(networks, picture, Path(path).name)


def _own_tab(page: gr.Blocks, networks: Sequence[Named]) -> None:
    with gr.Row():
        with gr.Column(scale=0, min_width=292, elem_classes="stn-controls"):
            photo = gr.HTML("", elem_classes="stn-photo")
            upload = _upload_button()
        with gr.Column(scale=1, min_width=260, elem_classes="stn-results"):
            view = gr.HTML(
                message("Upload a picture to see what your networks make of it."),
                apply_default_css=False,
                elem_classes=["stn-view", "stn-words"],
            )
    gr.HTML(
        "Each network sees the picture as it saw those of its training, and knows only their "
        "classes.",
        elem_classes="stn-note",
    )
    upload.upload(lambda path: _uploaded(networks, path), upload, [photo, view], **AT_ONCE)


def _digits_tab(page: gr.Blocks, networks: Sequence[Named]) -> None:
    digit = gr.State(None)  # [28, 28, 1], or None while nothing is drawn
    number = gr.State(None)  # of the picked digit, or None for a drawing
    with gr.Row():
        with gr.Column(scale=0, min_width=292, elem_classes="stn-controls"):
            pad = gr.HTML(
                value="",
                html_template='<canvas width="280" height="280" role="img" '
                'aria-label="Draw a digit here"></canvas><p>Draw a digit here</p>',
                js_on_load=(_FOLDER / "drawing_pad.js").read_text(),
                elem_classes="stn-pad",
            )
            with gr.Row():
                pick = gr.Button("Pick one", size="sm", min_width=80)
                clear = gr.Button("Clear", size="sm", min_width=80)
                reset = gr.Button("Reset", size="sm", min_width=80)
            case = gr.Dropdown(list(digits.CASES), value=None, label="Or choose a case")
            sliders = _sliders(digits.Pose(), digits.SLIDERS)
        with gr.Column(scale=1, min_width=260, elem_classes="stn-results"):
            view = gr.HTML(_WAIT, apply_default_css=False, elem_classes="stn-view")
    gr.HTML(
        "The networks that come with the package were trained on digits turned by up to 45 "
        "degrees, scaled by 0.7 to 1.2, inside the picture and not bent; the sliders go further. "
        "Picked digits are from MNIST's training set, which these networks have seen.",
        elem_classes="stn-note",
    )

    def shown(digit, number, *pose):
        return digit_view(networks, digit, digits.Pose(*pose), number)

    def drawn(drawing, *pose):
        try:
            digit = centred(digits.read_drawing(drawing))
        except UserError as error:
            return None, None, message(str(error))
        return digit, None, shown(digit, None, *pose)

    def picked(number, *pose):
        digit, _ = digits.pick(number)
        return data_url(digit), digit, number, shown(digit, number, *pose)

    def any_picked(*pose):
        return picked(int(np.random.default_rng().integers(digits.NUM_DIGITS)), *pose)

    def chosen(case):
        number, pose = digits.CASES[case]
        return *pose, *picked(number, *pose)

    def opened(request: gr.Request):
        pose = links.sliders(request.query_params, digits.Pose(), digits.SLIDERS)
        number = links.whole(request.query_params, "digit", digits.NUM_DIGITS - 1)
        return *pose, *(any_picked(*pose) if number is None else picked(number, *pose))

    outputs = [pad, digit, number, view]
    pad.input(drawn, [pad, *sliders], [digit, number, view], **AT_ONCE)
    pick.click(any_picked, sliders, outputs, **AT_ONCE)
    clear.click(lambda: ("", None, None, message(digits.NOTHING_DRAWN)), None, outputs, **AT_ONCE)
    reset.click(
        lambda digit, number: (*digits.Pose(), shown(digit, number, *digits.Pose())),
        [digit, number],
        [*sliders, view],
        **AT_ONCE,
    )
    case.input(chosen, case, [*sliders, *outputs], **AT_ONCE)
    within = _within([None, None, *_limits(digits.SLIDERS)])
    for slider in sliders:
        slider.input(shown, [digit, number, *sliders], view, js=within, **AT_ONCE)
    page.load(opened, None, [*sliders, *outputs], **AT_ONCE)


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
            picture = numbers.draw(number, int(scene))
        except UserError as error:
            return message(str(error))
        return number_view(
            networks, picture, link=links.to({"number": number, "scene": int(scene)})
        )

    def opened(number, scene, request: gr.Request):
        number = request.query_params.get("number", number)
        scene = _scene(request, scene)
        return number, scene, drawn(number, scene)

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
    number.change(drawn, [number, scene], view, **AT_ONCE)
    within = _within([None, (0, MAX_SCENE)])
    scene.input(drawn, [number, scene], view, js=within, **AT_ONCE)
    another.click(another_one, number, [number, scene], **AT_ONCE)
    upload.upload(uploaded, upload, view, **AT_ONCE)
    page.load(opened, [number, scene], [number, scene, view], **AT_ONCE)


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

    def drawn(name, scene, *values):
        view = View(*values)
        link = links.to({"sign": name, "scene": int(scene)}, view)
        return _seen(networks, photograph(drawable[name], view, int(scene)), link=link)

    def opened(name, scene, request: gr.Request):
        if (linked := request.query_params.get("sign")) in drawable:
            name = linked
        scene = _scene(request, scene)
        view = links.sliders(request.query_params, View(), _VIEW_SLIDERS)
        return name, scene, *view, *drawn(name, scene, *view)

    def another_one(name, _, *values):
        rng = np.random.default_rng()
        name = str(rng.choice([other for other in drawable if other != name]))
        scene = int(rng.integers(MAX_SCENE + 1))
        return name, scene, *drawn(name, scene, *values)

    within = _within([None, (0, MAX_SCENE), *_limits(_VIEW_SLIDERS)])
    sign.input(drawn, inputs, [photo, view], js=within, **AT_ONCE)
    for slider in (scene, *sliders):
        slider.input(drawn, inputs, [photo, view], js=within, **AT_ONCE)
    another.click(another_one, inputs, [sign, scene, photo, view], js=within, **AT_ONCE)
    reset.click(
        lambda name, scene: (*View(), *drawn(name, scene, *View())),
        [sign, scene],
        [*sliders, photo, view],
        **AT_ONCE,
    )
    upload.upload(lambda path: _uploaded(networks, path), upload, [photo, view], **AT_ONCE)
    page.load(opened, [sign, scene], [*inputs, photo, view], **AT_ONCE)


TABS: dict[str, tuple[str, str | None, Callable[[gr.Blocks, Sequence[Named]], None]]] = {
    "own_pictures": ("Your pictures", None, _own_tab),
    "distorted_mnist": ("Digits", "digit", _digits_tab),
    "street_numbers": ("Street numbers", "number", _numbers_tab),
    "traffic_signs": ("Traffic signs", "sign", _signs_tab),
}
"""Of each task: the name of its tab, the setting of its links, if any, and what builds it."""
