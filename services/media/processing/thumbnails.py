"""Small copies of a picture, and what to show until one is there. Runs in the child."""

from pathlib import Path

import blurhash
from PIL import Image

from services.media.processing.product import Made
from shared.contracts.media_terms import VariantName

SIZES: dict[VariantName, int] = {VariantName.SMALL: 160, VariantName.MEDIUM: 480, VariantName.LARGE: 1280}
"""Pixels a thumbnail has in width and height, at most."""

MIME_TYPE = "image/webp"
_COMPONENTS = (4, 3)
_TINY = 32


def without_palette(image: Image.Image) -> Image.Image:
    """A picture in RGB, or RGBA where anything of it is transparent; itself where it is that already."""
    wanted = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def thumbnails(picture: Image.Image, room: Path, sizes: dict[VariantName, int] = SIZES) -> dict[VariantName, Made]:
    """Copies of a picture in RGB or RGBA that are smaller than it is; the smallest size in any case."""
    made = {}
    for name, size in sorted(sizes.items(), key=lambda item: item[1], reverse=True):
        if max(picture.size) > size or size == min(sizes.values()):
            picture = shrunk(picture, size)
            made[name] = write_webp(picture, room / f"{name.value}.webp")
    return dict(sorted(made.items(), key=lambda item: sizes[item[0]]))


def shrunk(picture: Image.Image, size: int) -> Image.Image:
    """A copy of at most this width and height."""
    factor = min(1.0, size / max(picture.size))
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def write_webp(picture: Image.Image, path: Path) -> Made:
    """Write a picture as WebP, with nothing but its pixels."""
    picture.info = {}
    picture.save(path, "WEBP", quality=80)
    return Made(path, MIME_TYPE, picture.width, picture.height)


def placeholder(picture: Image.Image) -> str:
    """The BlurHash of a picture in RGB or RGBA (https://blurha.sh); on white where it is transparent."""
    tiny = shrunk(picture, _TINY)
    if tiny.mode == "RGBA":
        tiny = Image.alpha_composite(Image.new("RGBA", tiny.size, "white"), tiny).convert("RGB")
    data, row = tiny.tobytes(), tiny.width * 3
    pixels = [[data[at : at + 3] for at in range(start, start + row, 3)] for start in range(0, len(data), row)]
    return str(blurhash.encode(pixels, *_COMPONENTS))
