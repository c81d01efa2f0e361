"""Good files to upload, made by code: pictures and documents. Films are made in films.py, bad files in badfiles.py."""

from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from PIL import Image, ImageDraw

from tests.harness.films import flac, m4a, mov, mp3, mp4, ogg, wav, webm

SECRET = "Parley's secret place"
"""What stands in the Exif data of pictures that have some, besides a place."""


def picture(width: int = 320, height: int = 240, mode: str = "RGB") -> Image.Image:
    """A picture whose upper left quarter is red, the upper right one green, the lower left one blue, the last white."""
    drawn = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, width // 2 - 1, height // 2 - 1), "red")
    draw.rectangle((width // 2, 0, width, height // 2 - 1), "lime")
    draw.rectangle((0, height // 2, width // 2 - 1, height), "blue")
    return drawn.convert(mode)


def exif(orientation: int = 1) -> Image.Exif:
    """Exif data with a camera, a place and an orientation."""
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010F] = SECRET
    data.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return data


def encoded(image: Image.Image, plugin: str, **options: Any) -> bytes:
    """A picture as a file."""
    out = BytesIO()
    image.save(out, plugin, **options)
    return out.getvalue()


def jpeg(width: int = 320, height: int = 240, orientation: int = 1) -> bytes:
    """A JPEG picture with Exif data and a comment; as stored, before it is turned."""
    return encoded(picture(width, height), "JPEG", exif=exif(orientation), comment=SECRET.encode(), quality=90)


def png(width: int = 320, height: int = 240, mode: str = "RGB") -> bytes:
    """A PNG picture, with Exif data."""
    return encoded(picture(width, height, mode), "PNG", exif=exif())


def png_16(width: int = 64, height: int = 48) -> bytes:
    """A PNG picture in 16 bits of grey, from black on the left to white."""
    grey = Image.new("I;16", (width, height))
    for column in range(width):
        grey.paste(65535 * column // (width - 1), (column, 0, column + 1, height))
    return encoded(grey, "PNG")


def frames(count: int = 3, width: int = 120, height: int = 90) -> list[Image.Image]:
    """Frames of a little film: each of another colour."""
    return [
        Image.new("RGB", (width, height), (40 * number % 256, 200, 255 - 50 * number % 256)) for number in range(count)
    ]


def animated(plugin: str = "GIF", count: int = 3, width: int = 120, height: int = 90) -> bytes:
    """A picture of several frames (`GIF`, `WEBP`, `PNG`) of 100, 200, … ms that begins again and again."""
    first, *others = frames(count, width, height)
    durations = [100 * number for number in range(1, count + 1)]
    return encoded(first, plugin, save_all=True, append_images=others, duration=durations, loop=0)


def gif(width: int = 320, height: int = 240) -> bytes:
    """A GIF picture of one frame."""
    return encoded(picture(width, height), "GIF", comment=SECRET.encode())


def webp(width: int = 320, height: int = 240, **options: Any) -> bytes:
    """A WebP picture, with Exif data."""
    return encoded(picture(width, height), "WEBP", exif=exif(), **options)


def avif(width: int = 320, height: int = 240) -> bytes:
    """An AVIF picture, with Exif data."""
    return encoded(picture(width, height), "AVIF", exif=exif(), speed=10)


def pdf() -> bytes:
    """A PDF document of one empty page."""
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, part)
    table = len(out)
    out += b"xref\n0 4\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(out + b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % table)


def zipped(entries: dict[str, bytes], compression: int = ZIP_STORED) -> bytes:
    """A zip archive."""
    out = BytesIO()
    with ZipFile(out, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def docx(before: dict[str, bytes] | None = None) -> bytes:
    """A document of Word; `before` are entries before its main part."""
    types = b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
    start = {"[Content_Types].xml": types, "_rels/.rels": b"<Relationships/>"}
    return zipped(start | (before or {}) | {"word/document.xml": b"<document/>"})


def xlsx() -> bytes:
    """A document of Excel."""
    return zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})


def odt() -> bytes:
    """A document of LibreOffice."""
    return zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<office/>"})


def text(size: int = 1000) -> bytes:
    """A text in UTF-8, not in ASCII alone."""
    line = "Grüße aus Zürich, 東京 und 🏔\n".encode()
    return (line * (size // len(line) + 1))[: size // len(line) * len(line) or len(line)]


VALID: dict[str, tuple[str, bytes]] = {
    "photo.jpg": ("image/jpeg", jpeg()),
    "drawing.png": ("image/png", png()),
    "palette.png": ("image/png", png(mode="P")),
    "deep.png": ("image/png", png_16()),
    "film.gif": ("image/gif", animated()),
    "still.gif": ("image/gif", gif()),
    "picture.webp": ("image/webp", webp()),
    "film.webp": ("image/webp", animated("WEBP")),
    "picture.avif": ("image/avif", avif()),
    "clip.mp4": ("video/mp4", mp4()),
    "clip.webm": ("video/webm", webm()),
    "clip.mov": ("video/quicktime", mov()),
    "song.mp3": ("audio/mpeg", mp3()),
    "song.ogg": ("audio/ogg", ogg()),
    "song.wav": ("audio/wav", wav()),
    "song.m4a": ("audio/mp4", m4a()),
    "song.flac": ("audio/flac", flac()),
    "paper.pdf": ("application/pdf", pdf()),
    "paper.docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", docx()),
    "table.xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", xlsx()),
    "paper.odt": ("application/vnd.oasis.opendocument.text", odt()),
    "notes.txt": ("text/plain", text()),
}
"""Files that are taken, by name, with their media types."""
