// The page of `nike serve`. It shows one image with its masks and scores, and saves the results to files. It does not use
// libraries or other servers.
"use strict";

const $ = (id) => document.getElementById(id);
const COLORS = ["#0aa84f", "#e6194b", "#4363d8", "#f58231", "#b13ad6", "#12a5b5", "#d12ec2", "#8a8f00"];
const SVG = "http://www.w3.org/2000/svg";
let info = null; // response of /v1/info
let current = null; // {name, width, height, detections}
let request = null; // AbortController of the request in progress; a new image aborts it
let stream = null; // media stream of the camera

// --- server ---

async function requestJson(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response.json();
  if (response.status === 401) {
    sessionStorage.removeItem("token");
    $("login").hidden = false;
    throw new Error("This server requires a token.");
  }
  const answer = await response.json().catch(() => ({}));
  throw new Error(typeof answer.detail === "string" ? answer.detail : `The server returned status ${response.status}.`);
}

async function start() {
  try {
    info = await requestJson("v1/info");
    $("login").hidden = true;
    $("model").textContent = info.classes.slice(0, 8).join(", ") + (info.classes.length > 8 ? ", ..." : "");
    $("threshold").min = info.lowest_confidence;
    $("threshold").max = 1;
    $("threshold").value = info.min_confidence;
    showStatus("");
  } catch (error) {
    showStatus(error.message, true);
  }
}

async function detect(file) {
  if (!info) return showStatus("The server has not responded yet.", true);
  if (file.size > info.max_bytes) return showStatus(`The file is larger than ${Math.floor(info.max_bytes / 2 ** 20)} MiB.`, true);
  request?.abort();
  const controller = (request = new AbortController());
  showStatus("Detecting ...");
  $("result").hidden = true;
  try {
    const path = `v1/detect?min_confidence=${info.lowest_confidence}`;
    const [answer] = await Promise.all([requestJson(path, { method: "POST", body: file, signal: controller.signal }), show(file)]);
    if (controller !== request) return;
    current = { name: file.name || "photo.png", ...answer };
    $("result").hidden = false;
    draw();
  } catch (error) {
    if (error.name !== "AbortError") showStatus(error.message, true);
  }
}

// --- display ---

function showStatus(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

async function show(file) {
  const photo = $("photo");
  if (photo.src) URL.revokeObjectURL(photo.src);
  photo.src = URL.createObjectURL(file);
  await photo.decode().catch(() => {
    throw new Error("The browser cannot show this file. Choose a JPEG, PNG or WebP photo.");
  });
}

const color = (detection) => COLORS[(detection.class_id - 1) % COLORS.length];
const outline = (detection) => detection.polygons.map((points) => `M${points.join("L")}Z`).join("");
const visible = () => current.detections.filter((d) => d.score >= Number($("threshold").value));

function element(parent, name, attributes = {}, text = "") {
  const added = document.createElementNS(parent.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) added.setAttribute(key, value);
  added.textContent = text;
  return parent.appendChild(added);
}

function draw() {
  const found = visible();
  const { width, height, detections } = current;
  $("shown").textContent = Number($("threshold").value).toFixed(2);
  $("masks").setAttribute("viewBox", `0 0 ${width} ${height}`);
  $("masks").replaceChildren();
  $("list").replaceChildren();
  const size = (15 * width) / $("photo").clientWidth; // 15 px on the screen
  for (const detection of [...found].reverse()) { // the highest score is drawn last, on top
    const group = element($("masks"), "g");
    element(group, "path", { d: outline(detection), fill: color(detection), stroke: color(detection) });
    const [x, y] = detection.box;
    const label = { x: Math.min(x, width - 3 * size), y: Math.max(y - size / 4, size), "font-size": size };
    element(group, "text", label, detection.score.toFixed(2));
    addListItem(detection, group);
  }
  const hidden = detections.length - found.length;
  showStatus(`${found.length} detected` + (hidden ? `, ${hidden} below the minimum score` : ""));
}

function addListItem(detection, group) {
  const item = document.createElement("li");
  item.tabIndex = 0;
  $("list").prepend(item);
  element(item, "span", { class: "swatch" }).style.background = color(detection);
  element(item, "span", {}, detection.class);
  element(item, "span", { class: "score" }, detection.score.toFixed(2));
  for (const [on, off] of [["mouseenter", "mouseleave"], ["focus", "blur"]]) {
    item.addEventListener(on, () => group.classList.add("active"));
    item.addEventListener(off, () => group.classList.remove("active"));
  }
}

// --- downloads ---

function save(blob, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = current.name.replace(/\.[^.]*$/, "") + suffix;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function saveLabelme() {
  const shapes = visible().flatMap((detection, i) =>
    detection.polygons.map((points) => ({
      label: detection.class, points, shape_type: "polygon", flags: {}, mask: null,
      group_id: detection.polygons.length > 1 ? i + 1 : null, description: `score ${detection.score.toFixed(3)}`,
    })));
  const file = {
    version: "5.5.0", flags: {}, shapes, imagePath: current.name, imageData: null,
    imageHeight: current.height, imageWidth: current.width,
  };
  save(new Blob([JSON.stringify(file, null, 2)], { type: "application/json" }), ".json");
}

function savePng() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [current.width, current.height];
  const context = canvas.getContext("2d");
  context.drawImage($("photo"), 0, 0, canvas.width, canvas.height);
  context.lineWidth = Math.max(2, Math.max(canvas.width, canvas.height) / 400);
  for (const detection of visible().reverse()) {
    const path = new Path2D(outline(detection));
    context.fillStyle = color(detection) + "66";
    context.strokeStyle = color(detection);
    context.fill(path);
    context.stroke(path);
  }
  canvas.toBlob((blob) => save(blob, "_masks.png"), "image/png");
}

// --- camera ---

async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) { // requires localhost or TLS; otherwise, the file dialog of phones offers the camera
    $("file").setAttribute("capture", "environment");
    $("file").click();
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    $("video").srcObject = stream;
    $("viewfinder").hidden = false;
    $("result").hidden = true;
  } catch (error) {
    showStatus(`The camera cannot be used (${error.name}).`, true);
  }
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("viewfinder").hidden = true;
}

function takePhoto() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [$("video").videoWidth, $("video").videoHeight];
  canvas.getContext("2d").drawImage($("video"), 0, 0);
  closeCamera();
  canvas.toBlob((blob) => detect(new File([blob], "camera.jpg")), "image/jpeg", 0.95);
}

// --- events ---

function openImage(files) {
  const file = [...files].find((f) => f.type.startsWith("image/") || !f.type);
  file ? detect(file) : showStatus("This is not an image file.", true);
}

$("choose").addEventListener("click", () => {
  $("file").removeAttribute("capture");
  $("file").click();
});
$("file").addEventListener("change", () => {
  openImage($("file").files);
  $("file").value = ""; // allows choosing the same file again
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  openImage(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) openImage(event.clipboardData.files);
});
$("camera").addEventListener("click", openCamera);
$("stop").addEventListener("click", closeCamera);
$("shoot").addEventListener("click", takePhoto);
$("threshold").addEventListener("input", () => current && draw());
$("labelme").addEventListener("click", saveLabelme);
$("png").addEventListener("click", savePng);
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  start();
});
start();
