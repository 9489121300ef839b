"""The form of an upload, read part by part: whether ComfyUI can take it."""

from __future__ import annotations

import json
import warnings

from aiohttp import content_disposition_filename, parse_content_disposition
from comfystack.errors import printable
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

# Where ComfyUI keeps files; it has no answer for another word.
KINDS = ("input", "output", "temp")
# All fields but the file together.
TEXT_BYTES = 64 * 1024
# Most file systems take 255 bytes, and ComfyUI may write ` (1)` behind the name.
NAME_BYTES = 240
FOLDER_BYTES = 1024
# Of a larger mask only its head is kept, for whoever asks afterwards what was wrong.
MASK_BYTES = 32 * 1024 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"
# Up to width and height of a PNG.
HEAD_BYTES = 24
_FILE, _TEXTS = "image", ("type", "subfolder", "overwrite", "original_ref")


class WrongForm(Exception):
    """What is wrong, what was expected, and which field it is."""

    def __init__(self, found: str, expected: str, param: str | None = None) -> None:
        super().__init__(f"found {printable(found)}; expected {expected}")
        self.param = param if param is None else printable(param, 64)


class Form:
    """Fed with the body, from its beginning to its end. Raises WrongForm, and keeps it in `wrong`.

    At its end `kind`, `folder` and `name` say where the file goes. `head` are its first HEAD_BYTES; of a mask `content`
    is all of it, None where that is too much, and `original` the query of /view for the picture that it is for.
    """

    def __init__(self, content_type: str, mask: bool) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise WrongForm(
                f"a body of Content-Type {content_type or '(none)'!r}",
                "multipart/form-data with its boundary; leave the header to the library that makes the form",
            )
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begins,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._opens,
                    "on_part_data": self._data,
                    "on_part_end": self._ends,
                    "on_end": self._whole,
                },
            )
        except FormParserError:
            raise WrongForm("a boundary that is too long", "the one that a library makes") from None
        self._mask = mask
        self._complete = False
        self._held = 0
        self.head = b""
        self._content = bytearray()
        self._texts: dict[str, str] = {}
        self._file: str | None = None
        self.kind = self.folder = self.name = ""
        self.original: dict[str, str] | None = None
        self.wrong: WrongForm | None = None

    @property
    def content(self) -> bytes | None:
        return None if len(self._content) > MASK_BYTES else bytes(self._content)

    def feed(self, data: bytes) -> None:
        """The next part of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            self.wrong = WrongForm(f"a form that cannot be read: {error}", "multipart/form-data")
        except WrongForm as wrong:
            self.wrong = wrong
        if self.wrong is not None:
            raise self.wrong

    def end(self) -> None:
        """The body is over."""
        if not self._complete:
            self.wrong = WrongForm("a form that breaks off", "one that ends with its boundary; send it again")
            raise self.wrong

    def _begins(self) -> None:
        self._headers: dict[str, str] = {}
        self._key = self._value = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        # As ComfyUI's own library reads them.
        key, value = (part.decode("utf-8", "surrogateescape") for part in (self._key, self._value))
        self._headers.setdefault(key.lower(), value.strip(" \t"))
        self._key = self._value = b""

    def _opens(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, words = parse_content_disposition(self._headers.get("content-disposition"))
            name, filename = (content_disposition_filename(words, word) for word in ("name", "filename"))
        if name is None:
            raise WrongForm("a part without a name", 'Content-Disposition: form-data; name="…" for each')
        kind, options = parse_options_header(self._headers.get("content-type"))
        self._charset = options.get(b"charset", b"utf-8").decode("latin-1")
        self._name, self._is_text = name, not filename
        self._text = b""
        encoding = self._headers.get("content-transfer-encoding", "binary").lower()
        if encoding not in ("binary", "8bit", "7bit") or "content-encoding" in self._headers:
            raise WrongForm(f"{name} in an encoding", "its bytes as they are", name)
        if kind.startswith(b"multipart/") or (self._is_text and kind and not kind.startswith(b"text/")):
            raise WrongForm(f"{name} of Content-Type {kind.decode('latin-1')}", "a file or a text", name)
        if filename and name in _TEXTS:
            raise WrongForm(f"a file in {name}", "a text", name)
        if self._is_text and name == _FILE:
            raise WrongForm("a text in image", "a file with its name", name)
        self._is_the_file = bool(filename) and name == _FILE and self._file is None
        if filename and self._is_the_file:
            self._file = _named(filename)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_text:
            self._held += end - start
            if self._held > TEXT_BYTES:
                raise WrongForm(
                    f"fields of more than {TEXT_BYTES} bytes", "a file in image, and short fields", self._name
                )
            self._text += data[start:end]
        elif self._is_the_file:
            self.head += data[start : min(end, start + HEAD_BYTES - len(self.head))]
            if self._mask and len(self._content) <= MASK_BYTES:
                self._content += data[start:end]

    def _ends(self) -> None:
        if not self._is_text:
            return
        try:
            text = self._text.decode(self._charset)
        except (LookupError, ValueError):
            raise WrongForm(f"{self._name} that is no {self._charset}", "UTF-8", self._name) from None
        if self._name == "_charset_" and text.lower() != "utf-8":
            raise WrongForm(f"a form in {text!r}", "UTF-8", self._name)
        # Of a field that is there twice, the first one counts at ComfyUI.
        self._texts.setdefault(self._name, text)

    def _whole(self) -> None:
        """The last boundary was read; ComfyUI sees it after this."""
        if self._file is None:
            raise WrongForm("no file", "one in image", _FILE)
        kind = self._texts.get("type", "input")
        if kind not in KINDS:
            raise WrongForm(f"the type {kind!r}", " or ".join(KINDS), "type")
        folder = self._texts.get("subfolder", "")
        if not _writable(folder, FOLDER_BYTES) or any(not _writable(part) for part in folder.split("/")):
            raise WrongForm(
                f"the subfolder {folder!r}",
                f"names of at most {NAME_BYTES} bytes without control characters",
                "subfolder",
            )
        self.kind, self.folder, self.name = kind, folder, self._file
        if self._mask:
            self._of_a_mask(self._file)
        self._complete = True

    def _of_a_mask(self, filename: str) -> None:
        if not filename.lower().endswith(".png"):
            raise WrongForm(f"the name {filename!r} of a mask", "one that ends in .png", _FILE)
        if not self.head.startswith(_PNG):
            raise WrongForm("a mask that is no PNG", "a PNG of the original's size", _FILE)
        try:
            reference = json.loads(self._texts.get("original_ref", ""))
        except (ValueError, RecursionError):
            reference = None
        known = isinstance(reference, dict) and isinstance(reference.get("filename"), str)
        if (
            not known
            or not _writable(reference["filename"], FOLDER_BYTES)
            or not reference["filename"]
            or not all(isinstance(reference.get(key, ""), str) for key in ("type", "subfolder"))
            or not _writable(reference.get("subfolder", ""), FOLDER_BYTES)
        ):
            raise WrongForm(
                "no picture that the mask is for",
                'original_ref with {"filename", "type", "subfolder"} as an upload answered them',
                "original_ref",
            )
        self.original = {key: reference[key] for key in ("filename", "type", "subfolder") if key in reference}


def _named(filename: str) -> str:
    """The name under which ComfyUI would write the file. Raises WrongForm where it could not."""
    if "/" in filename:
        raise WrongForm(
            f"a folder in the file's name {filename!r}", "the name alone; subfolder says where", _FILE
        )
    if filename in (".", "..") or not _writable(filename):
        raise WrongForm(
            f"the file's name {filename!r}",
            f"at most {NAME_BYTES} bytes without control characters",
            _FILE,
        )
    return filename


def _writable(text: str, most: int = NAME_BYTES) -> bool:
    """Whether a file system could have it: by its length, and without what ends a line or a string."""
    try:
        size = len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return False
    return size <= most and not any(character < " " or character == "\x7f" for character in text)
