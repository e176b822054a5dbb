// A shopper's photo: found in what was dropped or pasted, and made small before it travels. Used by the search page and
// by the widget; comes before `crop.js` shows it.

const SIDE = 1600; // pixels of the longest side that are sent: more than the network looks at, far less than a camera's
const QUALITY = 0.9;
const AS_THEY_ARE = new Set(["image/jpeg", "image/png", "image/webp"]);

/** The first photo among dropped or pasted files, if any. */
export function photoIn(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}

/** Whether something is dragged that could be a photo. */
export function carriesFile(event) {
  return Boolean(event.dataTransfer?.types.includes("Files"));
}

/**
 * The photo as it is sent: upright, its longest side at most SIDE, without what the camera noted about place and owner.
 * What this browser cannot read is sent as it is: the server knows more kinds, and says what is wrong with others.
 */
export async function shrink(file) {
  const picture = await decoded(file);
  if (!picture) return file;
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  if (scale === 1 && AS_THEY_ARE.has(file.type)) {
    picture.close();
    return file;
  }
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // behind what is transparent
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  return blob ? new File([blob], file.name, { type: "image/jpeg" }) : file;
}

async function decoded(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}
