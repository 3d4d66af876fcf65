// A square to draw on. Its value is the drawing, white on black, as a PNG's data: URL; a value set
// by the server is shown, and "" clears the square.
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
let last = null; // where the pen was, while it is down

function show() {
  pen.fillStyle = "black";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (!props.value) return;
  const image = new Image();
  image.onload = () => pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.src = props.value;
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function strokeTo(point) {
  pen.strokeStyle = "white";
  pen.lineWidth = canvas.width / 13;
  pen.lineCap = "round";
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...point);
  pen.stroke();
  last = point;
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
    props.value = canvas.toDataURL("image/png");
    trigger("input");
  });
}
watch("value", show);
show();
