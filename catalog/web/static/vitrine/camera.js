// Takes a photo. A telephone's own camera app does it best; elsewhere a small window shows what the camera sees. Comes
// before `photo.js`; where there is no camera, or it may not be used, a sentence says what to do instead.

/** Whether this is a device whose file chooser opens a camera app. */
export const HAS_CAMERA_APP = matchMedia("(hover: none) and (pointer: coarse)").matches;

/** Show the camera in `dialog` (with a video, a shutter and a line for troubles); the photo, or null. */
export async function takePhoto(dialog, texts) {
  const [video, shutter, told] = ["video", "[data-part=shutter]", "[data-part=camera-told]"].map((which) =>
    dialog.querySelector(which),
  );
  const closed = new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  told.textContent = "";
  shutter.disabled = true;
  dialog.showModal();
  let stream = null;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    video.srcObject = stream;
    await video.play();
    shutter.disabled = false;
    shutter.focus();
  } catch (error) {
    told.textContent = error.name === "NotAllowedError" ? texts.camera_denied : texts.camera_missing;
  }
  const pressed = new Promise((done) => shutter.addEventListener("click", () => done(frameOf(video)), { once: true }));
  const photo = await Promise.race([pressed, closed.then(() => null)]);
  for (const track of stream?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  dialog.close();
  return photo;
}

async function frameOf(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
  return new File([blob], "camera.jpg", { type: "image/jpeg" });
}
