"""Masks as tools write them: read as the object that was drawn, or refused with what was found and what to do."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFilter

from soundprompt.data import media
from soundprompt.errors import InputError

HEIGHT, WIDTH = 48, 64
Y, X = np.mgrid[:HEIGHT, :WIDTH]
DISC = (X - 30) ** 2 + (Y - 22) ** 2 < 13**2
RING = ((X - 30) ** 2 + (Y - 22) ** 2 < 16**2) & ~DISC
VOC = [0, 0, 0, 128, 0, 0] + [0] * 759 + [224, 224, 192]


def drawn(inside, outside=(0, 0, 0)):
    """The disc in one colour on a ground of another; a colour may have any number of channels."""
    pixels = np.empty((HEIGHT, WIDTH, len(inside)), np.uint8)
    pixels[:], pixels[DISC] = outside, inside
    return Image.fromarray(pixels)


def grey(values):
    return Image.fromarray(np.asarray(values))


def with_palette(indices, palette):
    picture = Image.new("P", (WIDTH, HEIGHT))
    picture.putdata(np.asarray(indices, np.uint8).ravel().tolist())
    picture.putpalette(palette)
    return picture


def resized(picture, resample, size=(40, 30)):
    return picture.resize(size, resample).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)


def through_jpeg(picture):
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=95)
    return Image.open(content).copy()


OBJECTS = {
    "a colour": (drawn((0, 128, 64)), {}),
    "white": (drawn((255, 255, 255)), {}),
    "1 bit": (grey(DISC), {}),
    "4 bits": (grey(np.uint8(DISC) * 15), {"bits": 4}),
    "grey 1": (grey(np.uint8(DISC)), {}),
    "grey 255": (grey(np.uint8(DISC) * 255), {}),
    "16 bits, 1": (grey(np.uint16(DISC)), {}),
    "16 bits, 300": (grey(np.uint16(DISC) * 300), {}),
    "16 bits, highest": (grey(np.uint16(DISC) * 65535), {}),
    "opaque": (drawn((0, 128, 64, 255), (0, 0, 0, 255)), {}),
    "opaque grey": (drawn((255, 255), (0, 255)), {}),
    "white under transparency": (drawn((0, 128, 64, 255), (255, 255, 255, 0)), {}),
    "black object, white under transparency": (drawn((0, 0, 0, 255), (255, 255, 255, 0)), {}),
    "alpha alone": (drawn((0, 0, 0, 255), (0, 0, 0, 0)), {}),
    "alpha alone, half": (drawn((255, 255, 255, 128), (255, 255, 255, 0)), {}),
    "alpha alone, grey": (drawn((0, 255), (0, 0)), {}),
    "transparent grey": (grey(np.uint8(DISC) * 255), {"transparency": 0}),
    "palette": (with_palette(DISC, [0, 0, 0, 128, 0, 0]), {}),
    "palette, black second": (with_palette(~DISC, [128, 0, 0, 0, 0, 0]), {}),
    "palette, black alone": (with_palette(DISC, [0] * 768), {}),
    "palette, white background": (with_palette(DISC, [255, 255, 255, 200, 0, 0]), {}),
    "palette, transparent background": (with_palette(DISC, [255, 255, 255, 200, 0, 0]), {"transparency": 0}),
    "palette, all black, transparent": (with_palette(DISC, [0] * 6), {"transparency": 0}),
    "palette made of colours": (drawn((64, 0, 0)).quantize(2), {}),
    "VOC": (with_palette(DISC + 255 * RING, VOC), {}),
    "VOC without colours": (with_palette(DISC + 255 * RING, [0] * 768), {}),
    "VOC as grey": (grey(np.uint8(DISC * 15 + 255 * RING)), {}),
    "VOC as 16 bits": (grey(np.uint16(DISC * 15 + 255 * RING)), {}),
    "VOC as colours": (with_palette(DISC + 255 * RING, VOC).convert("RGB"), {}),
    "two colours": (Image.fromarray(np.stack([DISC * 250, DISC & (X < 30), 0 * X], -1).astype(np.uint8)), {}),
}
REFUSED = {
    "JPEG": (drawn((0, 128, 64)), {"format": "JPEG"}, "is a JPEG file"),
    "lossy WebP": (drawn((0, 128, 64)), {"format": "WEBP"}, "is a WEBP file"),
    "CMYK": (drawn((0, 128, 64)).convert("CMYK"), {"format": "TIFF"}, "is a TIFF file"),
    "JPEG stored as PNG": (through_jpeg(drawn((0, 128, 64))), {}, "smoothed"),
    "grey JPEG stored as PNG": (through_jpeg(grey(np.uint8(DISC) * 255)), {}, "smoothed"),
    "bilinear": (resized(drawn((0, 128, 64)), Image.Resampling.BILINEAR), {}, "smoothed"),
    "bilinear by half": (resized(drawn((128, 0, 0)), Image.Resampling.BILINEAR, (32, 24)), {}, "smoothed"),
    "Lanczos, larger": (resized(drawn((250, 250, 0)), Image.Resampling.LANCZOS, (128, 96)), {}, "smoothed"),
    "grey bilinear": (resized(grey(np.uint8(DISC) * 255), Image.Resampling.BILINEAR), {}, "smoothed"),
    "soft with a palette": (resized(drawn((0, 128, 64)), Image.Resampling.BICUBIC).quantize(32), {}, "smoothed"),
    "blurred": (grey(np.uint8(DISC) * 255).filter(ImageFilter.GaussianBlur(1)), {}, "smoothed"),
    "a probability": (grey(np.uint8(255 / (1 + np.exp((X + Y - 50) / 8)))), {}, "smoothed"),
    "16 bits blurred": (grey(np.uint16(1000 * np.exp(-((X - 30) ** 2 + (Y - 22) ** 2) / 99))), {}, "smoothed"),
    "soft alpha": (
        Image.merge("LA", [grey(np.uint8(DISC)), grey(np.uint8(DISC) * 255).filter(ImageFilter.BoxBlur(2))]),
        {},
        "smoothed",
    ),
    "white ground": (drawn((255, 0, 0), (255, 255, 255)), {}, "no black"),
    "palette of white and black": (with_palette(DISC, [255] * 3 + [0] * 3), {}, "begins with white"),
    "255 beside grey": (grey(np.uint8(DISC * 128 + RING * 255)), {}, "beside 0 and 255"),
    "255 beside one pixel of a class": (
        grey(np.uint8(np.where((X == 0) & (Y == 0), 3, DISC * 255))),
        {},
        "border or the object",
    ),
    "colours hidden": (drawn((255, 255, 255, 0), (0, 0, 0, 0)), {}, "transparent everywhere"),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_the_object_is_what_was_drawn(tmp_path, kind):
    picture, options = OBJECTS[kind]
    picture.save(tmp_path / "mask.png", **options)
    mask = media.read_mask(tmp_path / "mask.png", (HEIGHT, WIDTH))
    assert mask.dtype == bool and np.array_equal(mask, DISC)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_may_mean_something_else_is_refused(tmp_path, kind):
    picture, options, words = REFUSED[kind]
    picture.save(tmp_path / "mask.png", **({"format": "PNG"} | options))
    with pytest.raises(InputError, match=words) as caught:
        media.read_mask(tmp_path / "mask.png")
    assert caught.value.path == tmp_path / "mask.png" and "PNG" in caught.value.remedy


@pytest.mark.parametrize("mode", ["RGB", "P", "L"])
def test_classes_of_avsbench_are_read_as_they_are(tmp_path, mode):
    """Even as noise, without a pixel of background, and where one is darker than another."""
    palette = [sum((n >> 3 * p + c & 1) << 7 - p for p in range(3)) for n in range(256) for c in range(3)]
    for lowest in (0, 1):
        classes = np.random.default_rng(0).integers(lowest, 71, (HEIGHT, WIDTH))
        picture = with_palette(classes, palette)
        picture = {"RGB": picture.convert("RGB"), "P": picture, "L": grey(np.uint8(classes))}[mode]
        picture.save(tmp_path / "mask.png")
        assert np.array_equal(media.read_mask(tmp_path / "mask.png"), classes > 0)


@pytest.mark.parametrize(("colour", "share"), [((0, 0, 0), 0), ((0, 0, 64), 1), ((255, 255, 255), 1)])
def test_empty_and_full_masks(tmp_path, colour, share):
    for picture in (drawn(colour, colour), drawn(colour, colour).quantize(2)):
        picture.save(tmp_path / "mask.png")
        if picture.mode == "P" and colour == (255, 255, 255):  # white first: it may be the background
            with pytest.raises(InputError, match="begins with white"):
                media.read_mask(tmp_path / "mask.png")
        else:
            assert media.read_mask(tmp_path / "mask.png").mean() == share


def test_nothing_visible_is_nothing(tmp_path):
    drawn((255, 255, 255, 0), (255, 255, 255, 0)).save(tmp_path / "mask.png")
    assert not media.read_mask(tmp_path / "mask.png").any()


def test_sixteen_bits_of_colour_and_several_pictures_are_refused(tmp_path):
    path = tmp_path / "mask.png"
    drawn((255, 0, 0)).save(path, save_all=True, append_images=[drawn((0, 255, 0))])
    with pytest.raises(InputError, match="2 pictures"):
        media.read_mask(path)
    path.write_bytes(deep_png())
    with pytest.raises(InputError, match="16 bits"):
        media.read_mask(path)


def deep_png():
    """One pixel of RGB with 16 bits a channel, (1, 1, 1) of 65535: Pillow reads black."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\0\1" * 3)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_mask_is_turned_as_its_picture_is(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    drawn((0, 128, 64)).save(tmp_path / "mask.png", exif=turned)
    mask = media.read_mask(tmp_path / "mask.png", (WIDTH, HEIGHT))
    assert np.array_equal(mask, np.rot90(DISC, -1))


def test_frames_of_sixteen_bits_keep_their_shades(tmp_path):
    path = tmp_path / "frame.png"
    grey(np.array([[0, 0x1234], [0x8000, 0xFFFF]], np.uint16)).save(path)
    assert media.read_image(path)[..., 0].tolist() == [[0, 0x12], [0x80, 0xFF]]
    grey(np.zeros((2, 2), np.float32)).save(path, "TIFF")
    with pytest.raises(InputError, match="mode F"):
        media.read_image(path)
