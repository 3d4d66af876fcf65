// A square to draw on. Its value is the drawing, white on black, as a PNG's data: URL; a value set
// by the server is shown, and "" clears the square.
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
let last = null; // where the pen was, while it is down
let drawn = ""; // the value that the pen has made last

function show() {
  if (props.value && props.value === drawn) return; // it is there already
  pen.fillStyle = "black";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (!props.value) return;
  const image = new Image();
  image.onload = () => {
    // While it was decoded, the square may have been cleared or drawn on.
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
  pen.lineTo(x + 0.01, y); // without any length it would not be drawn
  pen.stroke();
  last = [x, y];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  strokeTo(last); // a dot, if the pen does not move
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
