"""Transliteration tables for the machine-readable zone.

Latin, Cyrillic and Arabic: ICAO Doc 9303-3, section 6, tables A, B and C, and appendix B.5.4 for
the two letters of foreign names that table C leaves out. The standard has no Greek table: ISO 843
(ELOT 743), which Greek passports follow, stands in. Upper-case letters only.
"""

from __future__ import annotations


def _table(letters: str, ways: str) -> dict[str, str]:
    """One entry a letter; ``-`` stands for a letter that is not written."""
    return dict(zip(letters, ("" if way == "-" else way for way in ways.split()), strict=True))


# Letters that do not simply lose their diacritical mark. Where the table recommends several ways,
# they stand in its order.
LATIN: dict[str, tuple[str, ...]] = {
    "Ä": ("AE", "A"),
    "Å": ("AA", "A"),
    "Æ": ("AE",),
    "Ð": ("D",),
    "Ñ": ("N", "NXX"),
    "Ö": ("OE", "O"),
    "Ø": ("OE",),
    "Ü": ("UE", "UXX", "U"),
    "Þ": ("TH",),
    "Đ": ("D",),
    "Ħ": ("H",),
    "ı": ("I",),
    "Ĳ": ("IJ",),
    "Ŀ": ("L",),
    "Ł": ("L",),
    "Ŋ": ("N",),
    "Œ": ("OE",),
    "Ŧ": ("T",),
    "ẞ": ("SS",),
}

# Section 6.B names the code points 0492 and 04BA, whose glyphs resemble the Macedonian 0403 and the
# Serbian 040B that are evidently meant; both spellings are here. The soft sign has no row and is
# not written.
CYRILLIC: dict[str, str] = _table(
    "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЂЄЅІЇЈЉЊЌЎЏЃЋѪѴҐҒҺ",
    "A B V G D E E ZH Z I I K L M N O P R S T U F KH TS CH SH SHCH IE Y - E IU IA "
    "D IE DZ I I J LJ NJ K U DZ G C U Y G G C",
)

# As tabulated, Serbian Г = H among them.
CYRILLIC_LANGUAGES: dict[str, dict[str, str]] = {
    "be": {"Ё": "IO", "Г": "H"},
    "bg": {"Щ": "SHT"},
    "mk": {"Ќ": "KJ", "Џ": "DJ", "Х": "H", "Ц": "C", "Ѓ": "GJ", "Ғ": "GJ"},
    "sr": {"Г": "H", "Ж": "Z", "Х": "H", "Ц": "C", "Ч": "C", "Ш": "S"},
    "uk": {"Г": "H", "И": "Y"},
}
# Ukrainian letters at the beginning of a word.
CYRILLIC_INITIALS: dict[str, dict[str, str]] = {
    "uk": {"Є": "YE", "Ї": "YI", "Й": "Y", "Ю": "YU", "Я": "YA"},
}

TEH_MARBUTA = "\u0629"
SHADDA = "\u0651"
# Table C by code point; an empty string is "not encoded". Teh marbuta at the end of a name
# component is XAH instead.
ARABIC: dict[str, str] = {
    chr(start + offset): "" if letter == "-" else letter
    for start, letters in (
        (0x0621, "XE XAA XAE U I XI A B XTA T XTH J XH XKH D XDH R Z S XSH XSS XDZ XTT XZZ E G"),
        (0x0640, "- F Q K L M N H W XAY Y"),
        (0x0671, "XXA"),
        (0x0679, "XXT"),
        (0x067C, "XRT"),
        (0x067E, "P"),
        (0x0681, "XKE"),
        (0x0685, "XXH XC"),
        (0x0688, "XXD XDR"),
        (0x0691, "XXR"),
        (0x0693, "XRR"),
        (0x0696, "XRX"),
        (0x0698, "XJ"),
        (0x069A, "XXS"),
        (0x069C, "-"),
        (0x06A2, "-"),
        (0x06A4, "V XF"),
        (0x06A7, "- -"),
        (0x06A9, "XKK"),
        (0x06AB, "XXK"),
        (0x06AD, "XNG"),
        (0x06AF, "XGG"),
        (0x06BA, "XNN"),
        (0x06BC, "XXN"),
        (0x06BE, "XDO"),
        (0x06C0, "XYH XXG XGE XTG"),
        (0x06CC, "XYA XXY"),
        (0x06D0, "Y"),
        (0x06D2, "XYB XBE"),
    )
    for offset, letter in enumerate(letters.split())
}

GREEK: dict[str, str] = _table(
    "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",
    "A V G D E Z I TH I K L M N X O P R S T Y F CH PS O",
)
