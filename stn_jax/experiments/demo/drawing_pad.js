// A square to draw on. Its value is the drawing, white on black, as the data: URL of a PNG. A value
// that the server sets is shown; "" clears the square.
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
const hint = element.querySelector("p");
let last = null; // the pen's last place, or null while it is up
let drawn = ""; // the value after the last stroke of the pen

function show() {
  if (props.value && props.value === drawn) return; // the canvas shows it already
  pen.fillStyle = "black";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  hint.hidden = Boolean(props.value);
  if (!props.value) return;
  const image = new Image();
  image.onload = () => {
    // The square may have been cleared or drawn on while the image was decoded.
    if (image.src === props.value && !last) pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  };
  image.src = props.value;
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function strokeTo([x, y]) {
  pen.strokeStyle = "white";
  pen.lineWidth = canvas.width / 13;
  pen.lineCap = "round";
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(x + 0.01, y); // a line of no length would not be drawn
  pen.stroke();
  last = [x, y];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  hint.hidden = true;
  last = place(event);
  strokeTo(last); // draws a dot if the pen does not move
});
canvas.addEventListener("pointermove", (event) => {
  if (last) strokeTo(place(event));
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => {
    if (!last) return;
    last = null;
    props.value = drawn = canvas.toDataURL("image/png");
    trigger("input");
  });
}
watch("value", show);
show();
