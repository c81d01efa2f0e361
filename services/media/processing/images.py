"""Pictures: decoded once, written anew without what they said of place and camera, and made smaller. Runs in the child.

Only pixels, transparency and the timing of frames survive; colours are those of sRGB, and up is up. What was hidden in
or behind a picture is gone.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import GifImagePlugin, Image, ImageCms

from services.media.processing.headers import gif_frames, webp_size
from services.media.processing.product import Bounds, Facts, Made, Product
from services.media.processing.thumbnails import placeholder, thumbnails, without_palette
from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal, VariantName

MAX_FRAMES = 2000
_ORIENTATION = 0x0112

_PLUGINS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "GIF": {},
    "WEBP": {"quality": 90},
    "AVIF": {"quality": 80, "speed": 8},
}
_MODES: dict[str, frozenset[str]] = {
    "JPEG": frozenset({"L", "RGB"}),
    "PNG": frozenset({"1", "L", "LA", "P", "RGB", "RGBA"}),
    "GIF": frozenset({"1", "L", "P", "RGB", "RGBA"}),
    "WEBP": frozenset({"RGB", "RGBA"}),
    "AVIF": frozenset({"RGB", "RGBA"}),
}
"""What each format can hold, of what remains after `_eight_bits`."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes up up again, by the orientation in Exif (CIPA DC-008, section 4.6.5)."""

GifImagePlugin.LOADING_STRATEGY = GifImagePlugin.LoadingStrategy.RGB_AFTER_DIFFERENT_PALETTE_ONLY


def rewrite(source: Path, room: Path, mime_type: str, bounds: Bounds) -> Product:
    """Write a picture anew, with its thumbnails.

    Raises:
        Refused: `dimensions` before anything is decoded, `damaged` where it cannot be decoded to its end.
    """
    plugin = _PLUGINS[mime_type]
    frames = _decoded(source, plugin, bounds.pixels)
    first = frames[0]
    path = room / f"original.{plugin.lower()}"
    _write(frames, path, plugin, lossless=_is_lossless(source))
    made = {VariantName.ORIGINAL: Made(path, mime_type, first.width, first.height)}
    still = without_palette(first)
    return Product(
        Facts(width=first.width, height=first.height, placeholder=placeholder(still)),
        made | thumbnails(still, room),
        keeps_original=False,
    )


def _decoded(source: Path, plugin: str, pixels: int) -> list[Image.Image]:
    """All frames of a picture, clean. All are in memory: `pixels` bounds them together."""
    with _refusing(), source.open("rb") as file:
        if plugin == "WEBP":
            _check(webp_size(file.read(30)), 1, pixels)
        known = gif_frames(file, MAX_FRAMES) if plugin == "GIF" else 0
        file.seek(0)
        Image.MAX_IMAGE_PIXELS = pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=[plugin]) as image:
            # A JPEG with several pictures has a preview or another view there, no film.
            count = 1 if plugin == "JPEG" else known or getattr(image, "n_frames", 1)
            _check(image.size, count, pixels)
            return list(_frames(image, count))


def _frames(image: Image.Image, count: int) -> Iterator[Image.Image]:
    for number in range(count):
        image.seek(number)
        image.load()
        frame = _clean(image)
        frame.info["duration"] = image.info.get("duration", 0)
        if "loop" in image.info:
            frame.info["loop"] = image.info["loop"]
        yield frame


def _check(size: tuple[int, int], frames: int, pixels: int) -> None:
    width, height = size
    if width * height * frames > pixels or frames > MAX_FRAMES:
        what = f"{width} x {height} pixels" + (f" in {frames} frames or more" if frames > 1 else "")
        raise Refused(
            Refusal.DIMENSIONS, f"The picture has {what}; {pixels} pixels and {MAX_FRAMES} frames are taken at most."
        )


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever a decoder raises means that the file cannot be read; but not being short of memory."""
    try:
        yield
    except (Refused, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused(
            Refusal.DIMENSIONS, f"The picture has more than {Image.MAX_IMAGE_PIXELS} pixels, which are taken at most."
        ) from error
    except Exception as error:
        raise Refused(Refusal.DAMAGED, "The picture cannot be read, or not to its end.") from error


def _clean(image: Image.Image) -> Image.Image:
    """A picture's pixels the right way up, in sRGB with eight bits; of all it says besides, its transparency."""
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    picture = _in_srgb(_eight_bits(image))
    picture = picture.copy() if turn is None else picture.transpose(turn)
    kept: dict[str | tuple[int, int], Any] = (
        {"transparency": picture.info["transparency"]} if "transparency" in picture.info else {}
    )
    picture.info = kept if picture.mode in {"P", "L", "1", "RGB"} else {}
    return picture


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which converting would cut off at 255
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK"}:
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _in_srgb(image: Image.Image) -> Image.Image:
    """Colours as they look, where a profile says what they mean; one that cannot be used is left out."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in {"RGB", "RGBA", "CMYK", "P"}:
        plain = without_palette(image) if image.mode == "P" else image
        try:
            given = ImageCms.getOpenProfile(BytesIO(profile))
            wanted = "RGBA" if plain.mode == "RGBA" else "RGB"
            converted = ImageCms.profileToProfile(plain, given, ImageCms.createProfile("sRGB"), outputMode=wanted)
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image.convert("RGB") if image.mode == "CMYK" else image


def _write(frames: list[Image.Image], path: Path, plugin: str, *, lossless: bool) -> None:
    """Write a picture, or all of a film's frames as they were timed."""
    modes = _MODES[plugin]
    fitting = [frame if frame.mode in modes else _fitted(frame, modes) for frame in frames]
    first, *others = fitting
    options = dict(_OPTIONS[plugin])
    if lossless and plugin == "WEBP":
        options = {"lossless": True}
    if others:
        options |= {
            "save_all": True,
            "append_images": others,
            "duration": [frame.info["duration"] for frame in frames],
            "loop": frames[0].info.get("loop", 0 if plugin != "GIF" else None),
        }
        if plugin == "GIF":
            options["disposal"] = 2  # frames are whole: nothing of the one before shows through
    first.save(path, plugin, **{name: value for name, value in options.items() if value is not None})


def _fitted(frame: Image.Image, modes: frozenset[str]) -> Image.Image:
    """A frame in a mode that the format can hold."""
    info = frame.info
    plain = without_palette(frame)
    if plain.mode not in modes:
        plain = plain.convert("RGB")
    plain.info |= {name: info[name] for name in ("duration", "loop") if name in info}
    return plain


def _is_lossless(source: Path) -> bool:
    """Whether a WebP file is of the lossless kind."""
    with source.open("rb") as file:
        return file.read(16)[12:] == b"VP8L"
