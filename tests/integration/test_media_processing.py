"""What is made of files, in real child processes: of good ones what was wanted, of bad ones nothing but a refusal."""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image, ImageCms

from services.media.kinds import kind_of
from services.media.processing.parent import process
from services.media.processing.product import Bounds, Product
from services.media.refusals import Refused
from services.media.sniffing import HEAD, look_at
from shared.contracts.media_terms import MediaKind, Refusal, VariantName
from tests.harness.badfiles import ARCHIVE, HTML, REFUSED_LATER, Bad
from tests.harness.files import SECRET, VALID, animated, encoded, gif, jpeg, picture, png, png_16
from tests.harness.films import m4a, mp3, mp4, voice

BOUNDS = Bounds(memory=1 << 30, seconds=60.0, pixels=50_000_000)
PICTURES = [name for name, (mime, _) in VALID.items() if mime.startswith("image/")]
CUT = [name for name in VALID if not name.endswith((".txt", ".mp3"))]
"""Files that say where they end; of a text or an MP3, a part is as good as the whole."""

Processing = Callable[..., Awaitable[Product]]


@pytest.fixture
def processed(tmp_path: Path) -> Processing:
    """Puts a file through looking and processing, as uploading does."""

    def placed(data: bytes) -> tuple[Path, Path]:
        room = tmp_path / uuid4().hex
        room.mkdir()
        source = room.with_suffix(".upload")
        source.write_bytes(data)
        return source, room

    async def put(data: bytes, name: str = "", *, kind: MediaKind | None = None, bounds: Bounds = BOUNDS) -> Product:
        source, room = placed(data)
        found, mime = look_at(
            data[:HEAD], whole=len(data) <= HEAD, name=name, declared=None, kind=kind, extra=frozenset()
        )
        return await process(source, room, found, mime, bounds)

    return put


async def refusal(work: Awaitable[Product]) -> Refusal:
    """Why a file is refused."""
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.reason


def opened(product: Product, variant: VariantName = VariantName.ORIGINAL) -> Image.Image:
    """A picture that was made, whole."""
    made = product.made[variant]
    image = Image.open(BytesIO(made.path.read_bytes()))
    assert (image.width, image.height) == (made.width, made.height)
    assert Image.MIME[image.format or ""] == made.mime_type
    image.load()
    return image


def corners(image: Image.Image) -> list[str]:
    """The colours of a picture's quarters."""
    names = {(1, 0, 0): "red", (0, 1, 0): "lime", (0, 0, 1): "blue", (1, 1, 1): "white", (0, 0, 0): "black"}
    plain = image.convert("RGB")
    places = [(x, y) for y in (0.2, 0.8) for x in (0.2, 0.8)]
    pixels: list[Any] = [plain.getpixel((int(plain.width * x), int(plain.height * y))) for x, y in places]
    return [names.get(tuple(round(value / 255) for value in pixel), str(pixel)) for pixel in pixels]


class TestPictures:
    @pytest.mark.parametrize("name", PICTURES)
    async def test_a_picture_is_written_anew(self, processed: Processing, name: str) -> None:
        """Of the same type and size; with what can be shown before it is there, and instead."""
        data = VALID[name][1]
        product = await processed(data, name)
        before, after = Image.open(BytesIO(data)), opened(product)
        assert not product.keeps_original
        assert (after.format, after.size) == (before.format, before.size)
        assert (product.facts.width, product.facts.height) == before.size
        assert product.facts.placeholder
        assert len(product.facts.placeholder) == 28
        small = opened(product, VariantName.SMALL)
        assert max(small.size) == min(160, max(before.size))
        assert list(product.made) == [VariantName.ORIGINAL, VariantName.SMALL]

    @pytest.mark.parametrize("name", PICTURES)
    async def test_what_it_says_of_place_and_camera_is_gone(self, processed: Processing, name: str) -> None:
        """From everything that is made."""
        product = await processed(VALID[name][1], name)
        for variant, made in product.made.items():
            data, image = made.path.read_bytes(), opened(product, variant)
            assert SECRET.encode() not in data
            assert not [mark for mark in (b"Exif", b"EXIF", b"GPS", b"ICC_PROFILE", b"iCCP", b"http:") if mark in data]
            assert not image.getexif()
            assert not image.info.keys() & {"exif", "icc_profile", "comment", "xmp", "XML:com.adobe.xmp"}

    @pytest.mark.parametrize("orientation", range(1, 9))
    async def test_up_is_up(self, processed: Processing, orientation: int) -> None:
        """By what Exif says: the picture is written the right way, and says nothing of it any more."""
        product = await processed(jpeg(320, 200, orientation))
        expected = {
            1: "red lime blue white", 2: "lime red white blue", 3: "white blue lime red", 4: "blue white red lime",
            5: "red blue lime white", 6: "blue red white lime", 7: "white lime blue red", 8: "lime white red blue",
        }  # fmt: skip
        for variant in product.made:
            image = opened(product, variant)
            assert corners(image) == expected[orientation].split()
            assert (image.height > image.width) == (orientation > 4)

    async def test_what_was_hidden_behind_it_is_gone(self, processed: Processing) -> None:
        """An archive, a page."""
        for data, name, hidden in ((jpeg() + ARCHIVE, "a.jpg", b"PK\x03\x04"), (gif() + HTML, "a.gif", b"<script>")):
            product = await processed(data, name)
            assert hidden in data
            assert hidden not in product.made[VariantName.ORIGINAL].path.read_bytes()

    async def test_thumbnails_are_smaller_than_the_picture(self, processed: Processing) -> None:
        """Of a large one there are three."""
        product = await processed(png(2000, 500))
        sizes = {variant: opened(product, variant).size for variant in product.made}
        assert sizes == {
            VariantName.ORIGINAL: (2000, 500), VariantName.SMALL: (160, 40), VariantName.MEDIUM: (480, 120),
            VariantName.LARGE: (1280, 320),
        }  # fmt: skip
        narrow = await processed(encoded(Image.new("L", (1, 3000)), "PNG"))
        assert opened(narrow, VariantName.SMALL).size == (1, 160)

    @pytest.mark.parametrize("plugin", ["GIF", "WEBP", "PNG"])
    async def test_a_film_goes_on_moving(self, processed: Processing, plugin: str) -> None:
        """With its frames, its times and its repeats."""
        product = await processed(animated(plugin, 4))
        image = opened(product)
        durations, colours = [], []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            durations.append(image.info["duration"])
            pixel: Any = image.convert("RGB").getpixel((5, 5))
            colours.append(round(pixel[0] / 40))
        assert durations == [100, 200, 300, 400]
        assert colours == [0, 1, 2, 3]
        assert image.info["loop"] == 0

    async def test_sixteen_bits_become_eight(self, processed: Processing) -> None:
        """Without turning all white."""
        image = opened(await processed(png_16())).convert("L")
        row = [image.getpixel((x, 5)) for x in (0, 31, 63)]
        assert row == [0, pytest.approx(125, abs=2), 255]

    async def test_transparency_stays(self, processed: Processing) -> None:
        """Of colours, of a palette; in thumbnails as well."""
        clear = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
        clear.paste((0, 255, 0, 255), (0, 0, 150, 300))
        for data in (
            encoded(clear, "PNG"),
            encoded(clear.quantize(8), "PNG"),
            encoded(clear, "GIF"),
            encoded(clear, "WEBP"),
        ):
            product = await processed(data)
            for variant in product.made:
                image = opened(product, variant).convert("RGBA")
                left: Any = image.getpixel((image.width // 4, 50))
                right: Any = image.getpixel((image.width * 3 // 4, 50))
                assert (left[3], right[3]) == (255, 0)

    async def test_colours_are_those_of_srgb(self, processed: Processing) -> None:
        """Printers' inks are turned to light; a profile is applied, a broken one left out."""
        inks = encoded(picture(mode="CMYK"), "JPEG")
        assert corners(opened(await processed(inks))) == ["red", "lime", "blue", "white"]
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        for profile in (lab, b"no profile"):
            product = await processed(encoded(picture(), "PNG", icc_profile=profile))
            assert corners(opened(product)) == ["red", "lime", "blue", "white"]
            assert "icc_profile" not in opened(product).info

    async def test_sent_as_a_file_it_is_written_anew_as_well(self, processed: Processing) -> None:
        """Its place is nobody's business then either."""
        product = await processed(jpeg(), kind=MediaKind.FILE)
        assert SECRET.encode() not in product.made[VariantName.ORIGINAL].path.read_bytes()


class TestSoundAndFilm:
    @pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.mov"])
    async def test_a_film(self, processed: Processing, name: str) -> None:
        """Is kept as it came; a frame shows what it is."""
        product = await processed(VALID[name][1], name)
        assert product.keeps_original
        assert product.facts.duration == pytest.approx(2.0, abs=0.05)
        assert (product.facts.width, product.facts.height) == (160, 120)
        assert list(product.made) == [VariantName.POSTER, VariantName.SMALL]
        assert corners(opened(product, VariantName.POSTER))[0] == "white"
        assert product.facts.placeholder

    @pytest.mark.parametrize(("rotation", "corner"), [(90, 2), (-90, 1), (180, 3)])
    async def test_a_turned_film(self, processed: Processing, rotation: int, corner: int) -> None:
        """Has the size that it is shown in, and a poster the right way up."""
        product = await processed(mp4(rotation=rotation, size=(640, 360)))
        upright = (640, 360) if rotation == 180 else (360, 640)
        assert (product.facts.width, product.facts.height) == upright
        poster = opened(product, VariantName.POSTER)
        assert poster.size == upright
        assert corners(poster).index("white") == corner
        assert max(opened(product, VariantName.MEDIUM).size) == 480

    @pytest.mark.parametrize("name", ["song.mp3", "song.ogg", "song.wav", "song.m4a", "song.flac"])
    async def test_sound(self, processed: Processing, name: str) -> None:
        """Is as long as it is, and becomes louder as this does."""
        product = await processed(VALID[name][1], name)
        waveform = product.facts.waveform
        assert product.keeps_original
        assert not product.made
        assert product.facts.duration == pytest.approx(2.0, abs=0.05)
        assert waveform is not None
        assert len(waveform) == 100
        assert (waveform[0], waveform[50], waveform[98]) == pytest.approx((0, 48, 95), abs=4)

    async def test_a_voice_message_that_does_not_say_how_long_it_is(self, processed: Processing) -> None:
        """As browsers record them."""
        product = await processed(voice(seconds=3.0), "voice.webm")
        assert product.facts.duration == pytest.approx(3.0, abs=0.05)
        assert product.facts.waveform is not None

    async def test_hours_of_sound(self, processed: Processing) -> None:
        """Are listened to in part, in bounded time and memory."""
        hours = 4 * 3600
        size = hours * 8000
        head = b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        head += (
            b"\x01\x00\x01\x00"
            + (8000).to_bytes(4, "little") * 2
            + b"\x01\x00\x08\x00data"
            + size.to_bytes(4, "little")
        )
        data = head + bytes([128]) * (size // 2) + bytes([0, 255]) * (size // 4)
        product = await processed(data, bounds=Bounds(1 << 28, 60.0, 1))
        assert product.facts.duration == pytest.approx(hours, abs=1)
        waveform = product.facts.waveform
        assert waveform is not None
        assert (waveform[10], waveform[90]) == (0, 100)


class TestFiles:
    @pytest.mark.parametrize("name", [name for name, (mime, _) in VALID.items() if kind_of(mime) is MediaKind.FILE])
    async def test_nothing_is_made_of_documents(self, processed: Processing, name: str) -> None:
        assert await processed(VALID[name][1], name) == Product()


class TestRefused:
    @pytest.mark.parametrize("bad", REFUSED_LATER, ids=lambda bad: bad.name)
    async def test_bad_files(self, processed: Processing, bad: Bad) -> None:
        """For what they are."""
        assert await refusal(processed(bad.data, bad.name)) is bad.reason

    @pytest.mark.parametrize("name", CUT)
    async def test_what_is_cut_off_is_damaged(self, processed: Processing, name: str) -> None:
        """At every tenth; the start of a little document may be no more than that of an archive."""
        data = VALID[name][1]
        cuts = [data[: len(data) * tenth // 10] for tenth in range(1, 10)]
        if name == "deep.png":
            cuts.pop()  # nothing is missing then but what says that it is the end
        reasons = await asyncio.gather(*(refusal(processed(cut, name)) for cut in cuts))
        early = [Refusal.TYPE_REFUSED] * 2 if name.endswith(("x", ".odt")) else []
        for reason in reasons[len(early) :]:
            assert reason is Refusal.DAMAGED
        assert set(reasons[: len(early)]) <= {*early, Refusal.DAMAGED}

    async def test_part_of_what_says_nothing_of_its_end_is_taken(self, processed: Processing) -> None:
        """And is as long as the part is."""
        product = await processed(mp3()[: len(mp3()) // 2])
        assert product.facts.duration == pytest.approx(1.0, abs=0.1)

    async def test_sound_is_no_film_and_film_no_sound(self, processed: Processing) -> None:
        """Whatever is said of a container that may have either."""
        assert await refusal(processed(m4a(), kind=MediaKind.VIDEO)) is Refusal.TYPE_MISMATCH
        assert await refusal(processed(mp4(), kind=MediaKind.AUDIO)) is Refusal.TYPE_MISMATCH
        assert await refusal(processed(mp4(), bounds=Bounds(1 << 30, 60.0, 10_000))) is Refusal.DIMENSIONS
