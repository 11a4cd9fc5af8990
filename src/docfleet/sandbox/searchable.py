"""The searchable PDF: the submitted pages as they are, with invisible text over the words that were read from pixels.

Runs in the sandbox child, because it parses the submitted file. What happens to it:

* A page read from its own text layer keeps its content byte for byte. On other pages one content stream is put before
  the page's own: it is wrapped in q/Q and paints nothing, so nothing that follows can tell it is there, whatever state
  the page's own content leaves behind.
* Where OCR replaced a garbage layer, the page's *invisible* text is removed, so that copying gives OCR's text alone.
  *Visible* text stays, readable or not: a page must look the same. Selecting it still gives its own wrong characters,
  beside OCR's.
* A PDF of which no page was read from pixels is copied as it is. An encrypted one comes out without encryption: its
  password was given to get at the text, and the other results hold that text in the clear anyway.
* An image file becomes a PDF; see `image_pages`.

Same input, same bytes out: there are no dates and no random identifiers.
"""

from __future__ import annotations

import io
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pikepdf
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from docfleet.domain.media import PDF
from docfleet.domain.searchable import LayerMode, LayerPage
from docfleet.errors import Damaged, DocumentError, PasswordRequired, PasswordWrong
from docfleet.sandbox.faults import vendor_calls
from docfleet.sandbox.glyphless_font import GlyphlessFont
from docfleet.sandbox.image_pages import ImagePage, image_pages, number_bytes
from docfleet.sandbox.invisible_text import InvisibleTextRemover, compressed_stream
from docfleet.sandbox.page_space import PageSpace, inherited, page_space
from docfleet.sandbox.pdf_file import PdfFile
from docfleet.sandbox.pdf_open import repaired_copy
from docfleet.sandbox.present_text import PresentText
from docfleet.sandbox.text_layer_content import layer_content
from docfleet.sandbox.types import SandboxLimits

_FONT_NAME = "DocfleetText"
_QPDF_ERRORS = (
    pikepdf.PdfError,
    pikepdf.PasswordError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class SearchableOutcome(msgspec.Struct):
    """What was done."""

    pages: int = 0
    layered: int = 0
    """Pages that were given words."""
    words: int = 0
    removed_runs: int = 0
    """Runs of old invisible text taken out."""
    copied: bool = False
    """The file's bytes as they were."""
    decrypted: bool = False
    unreadable: list[int] = []
    """Pages of an image file that could not be decoded; blank in the PDF."""


def write_searchable(
    source: str,
    out: str,
    layers: str,
    password: str | None,
    mime_type: str,
    max_page_pixels: int = SandboxLimits().max_page_pixels,
) -> dict[str, Any]:
    """Writes the searchable PDF of `source` to `out`.

    `layers` is a file of `LayerPage`s as JSON lines (see `exports.searchable_layer`), in order of pages. Returns the
    fields of `SearchableOutcome`. Raises `Damaged`, `PasswordRequired`, `PasswordWrong`, `PageTooLarge` or
    `UnsupportedType`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd files; nobody reads the child's stderr
            if mime_type == PDF.mime_type:
                outcome = _searchable_pdf(source, out, layers, password)
            else:
                outcome = _searchable_image(source, out, layers, mime_type, max_page_pixels)
    except (pikepdf.PdfError, pikepdf.PasswordError) as error:
        raise Damaged("The document is damaged in a way that no searchable PDF can be made of it.") from error
    return msgspec.structs.asdict(outcome)


def read_layers(path: str) -> Iterator[LayerPage]:
    """The pages of a layer file, one at a time."""
    decoder = msgspec.json.Decoder(LayerPage)
    with open(path, "rb") as file:
        for line in file:
            yield decoder.decode(line)


def _searchable_pdf(source: str, out: str, layers: str, password: str | None) -> SearchableOutcome:
    try:
        opened = open_for_copying(source, password)
    except Damaged:
        if os.path.getsize(layers):
            raise
        # Nothing was read from it, so there is nothing to add.
        shutil.copyfile(source, out)
        return SearchableOutcome(copied=True)
    with opened as pdf:
        outcome = SearchableOutcome(pages=len(pdf.pages), decrypted=pdf.is_encrypted)
        grafter = _Grafter(pdf, source, password, outcome)
        grafter.graft(layers)
        if outcome.layered or outcome.removed_runs or outcome.decrypted:
            pdf.save(
                out,
                encryption=False,
                deterministic_id=True,
                fix_metadata_version=False,
                compress_streams=False,
                stream_decode_level=pikepdf.StreamDecodeLevel.none,
                object_stream_mode=pikepdf.ObjectStreamMode.preserve,
            )
            return outcome
    shutil.copyfile(source, out)
    outcome.copied = True
    return outcome


def open_for_copying(source: str, password: str | None) -> pikepdf.Pdf:
    """The PDF; where qpdf finds no pages in it as it is, the first copy in which it does."""
    try:
        pdf = pikepdf.open(source, password=password or "", suppress_warnings=True)
        if len(pdf.pages) > 0:
            return pdf
    except _QPDF_ERRORS:
        pass
    failure: DocumentError = Damaged("The document is damaged in a way that no searchable PDF can be made of it.")
    for copy_anew in (_qpdf_copy, _pdfium_copy, _pages_alone):
        try:
            pdf = pikepdf.open(copy_anew(source, password), suppress_warnings=True)
            if len(pdf.pages) > 0:
                return pdf
        except (PasswordRequired, PasswordWrong) as error:
            failure = error
        except (DocumentError, *_QPDF_ERRORS):
            continue
    raise failure


def _qpdf_copy(source: str, password: str | None) -> io.BytesIO:
    """As it was repaired for reading."""
    return io.BytesIO(repaired_copy(source, (password,) if password else ())[0])


def _pdfium_copy(source: str, password: str | None) -> io.BytesIO:
    """As PDFium writes it anew, without encryption; it opens some files that qpdf does not."""
    copy = io.BytesIO()
    with _pdfium_document(source, password) as document:
        document.save(copy, flags=pdfium_c.FPDF_NO_INCREMENTAL | pdfium_c.FPDF_REMOVE_SECURITY)
    return copy


def _pages_alone(source: str, password: str | None) -> io.BytesIO:
    """Its pages in a new PDF: what surrounded them (metadata, outline, form) is lost with the broken structure."""
    copy = io.BytesIO()
    with _pdfium_document(source, password) as document, pdfium.PdfDocument.new() as fresh:
        fresh.import_pages(document)
        fresh.save(copy)
    return copy


def _pdfium_document(source: str, password: str | None) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(source, password=password)
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium_c.FPDF_ERR_PASSWORD:
            raise (PasswordWrong if password else PasswordRequired)() from error
        raise Damaged() from error


class _Grafter:
    """Puts layers onto the pages of an open PDF."""

    def __init__(self, pdf: pikepdf.Pdf, source: str, password: str | None, outcome: SearchableOutcome) -> None:
        self._pdf = pdf
        self._outcome = outcome
        self._font = GlyphlessFont()
        self._font_object: pikepdf.Object | None = None
        self._font_source: pikepdf.Pdf | None = None
        self._fonts: dict[tuple[int, int], pikepdf.Object] = {}
        self._remover = InvisibleTextRemover(pdf)
        self._present = PresentText(source, password)

    def graft(self, layers: str) -> None:
        pages = self._pdf.pages
        try:
            for layer in read_layers(layers):
                if 1 <= layer.number <= len(pages):
                    self._graft_page(pages[layer.number - 1], layer)
        finally:
            self._present.close()
        if self._font_object is not None:
            # Only now all characters that the font needs are known. The file it comes from has to stay open until the
            # result is saved.
            self._font_source = font_file(self._font)
            for key, value in self._pdf.copy_foreign(self._font_source.Root.Font).items():
                self._font_object[key] = value

    def _graft_page(self, page: pikepdf.Page, layer: LayerPage) -> None:
        space = page_space(page)
        words = layer.words
        if layer.mode is LayerMode.ADD:
            words = tuple(self._present.missing(layer.number, words, space))
        resources = _own_resources(page)
        if layer.mode is LayerMode.REPLACE:
            before = self._outcome.removed_runs
            self._outcome.removed_runs += self._remover.clean(page, resources)
            if self._outcome.removed_runs > before:
                page.obj["/Resources"] = resources
        name = self._name_font(resources)
        content = layer_content(words, space, self._font, name)
        if not content:
            return
        resources["/Font"] = self._with_font(resources.get("/Font"), name)
        page.obj["/Resources"] = resources
        page.contents_add(compressed_stream(self._pdf, content), prepend=True)
        self._outcome.layered += 1
        self._outcome.words += len(words)

    def _name_font(self, resources: pikepdf.Object) -> str:
        fonts = resources.get("/Font")
        taken = set(fonts.keys()) if isinstance(fonts, pikepdf.Dictionary) else set()
        name, count = _FONT_NAME, 1
        while f"/{name}" in taken:
            count += 1
            name = f"{_FONT_NAME}{count}"
        return name

    def _with_font(self, fonts: pikepdf.Object | None, name: str) -> pikepdf.Object:
        """A copy of a font dictionary with ours in it; one copy for all pages that share the original."""
        if self._font_object is None:
            self._font_object = self._pdf.make_indirect(pikepdf.Dictionary())
        shared = isinstance(fonts, pikepdf.Dictionary) and fonts.is_indirect
        if fonts is not None and shared and fonts.objgen in self._fonts:
            return self._fonts[fonts.objgen]
        copy = pikepdf.Dictionary(fonts) if isinstance(fonts, pikepdf.Dictionary) else pikepdf.Dictionary()
        copy[f"/{name}"] = self._font_object
        if fonts is not None and shared:
            self._fonts[fonts.objgen] = self._pdf.make_indirect(copy)
            return self._fonts[fonts.objgen]
        return copy


def _own_resources(page: pikepdf.Page) -> pikepdf.Object:
    """A shallow copy of the resources the page uses, its own or inherited; nothing shared is changed through it."""
    resources = inherited(page, "/Resources")
    return pikepdf.Dictionary(resources) if isinstance(resources, pikepdf.Dictionary) else pikepdf.Dictionary()


def font_file(font: GlyphlessFont) -> pikepdf.Pdf:
    """A PDF of nothing but the font, as /Font of its root."""
    data = io.BytesIO()
    file = PdfFile(data)
    first = add_font(file, font)
    pages = file.add(b"<< /Type /Pages /Kids [ ] /Count 0 >>")
    file.finish(file.add(b"<< /Type /Catalog /Pages %d 0 R /Font %d 0 R >>" % (pages, first)))
    return pikepdf.open(data)


def add_font(file: PdfFile, font: GlyphlessFont, first: int | None = None) -> int:
    """Writes the font's objects; returns the number of the font itself (`first` when it was reserved)."""
    first = file.reserve(GlyphlessFont.OBJECTS) if first is None else first
    for offset, (dictionary, stream) in enumerate(font.objects(first)):
        file.add(dictionary, stream, first + offset)
    return first


def _searchable_image(source: str, out: str, layers: str, mime_type: str, max_page_pixels: int) -> SearchableOutcome:
    outcome = SearchableOutcome()
    font = GlyphlessFont()
    with open(out, "wb") as target, vendor_calls("image"):
        file = PdfFile(target)
        number = file.reserve(GlyphlessFont.OBJECTS)
        tree = file.reserve()
        waiting = read_layers(layers)
        layer = next(waiting, None)
        pages = []
        for image in image_pages(source, mime_type, max_page_pixels):
            outcome.pages += 1
            while layer is not None and layer.number < outcome.pages:
                layer = next(waiting, None)
            words = layer.words if layer is not None and layer.number == outcome.pages else ()
            if image.unreadable:
                outcome.unreadable.append(outcome.pages)
            content = layer_content(words, PageSpace((0.0, 0.0, image.width, image.height), 0), font, _FONT_NAME)
            if content:
                outcome.layered += 1
                outcome.words += len(words)
            pages.append(add_image_page(file, image, content, tree, number if content else None))
        if outcome.layered:
            add_font(file, font, number)
        kids = b" ".join(b"%d 0 R" % page for page in pages)
        file.add(b"<< /Type /Pages /Kids [ %s ] /Count %d >>" % (kids, len(pages)), number=tree)
        file.finish(file.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))
    return outcome


def add_image_page(file: PdfFile, image: ImagePage, content: bytes, tree: int, font: int | None) -> int:
    """Writes one page: its image, and the words over it."""
    resources = b"/Font << /%s %d 0 R >> " % (_FONT_NAME.encode(), font) if font is not None else b""
    draw = b""
    if image.data:
        profile = file.add(image.profile_dictionary, image.profile) if image.profile else None
        picture = file.add(image.dictionary(profile), image.data)
        resources += b"/XObject << /Image %d 0 R >> " % picture
        draw = b"q %s cm /Image Do Q\n" % image.matrix
    stream = file.add(b"<< /Filter /FlateDecode >>", zlib.compress(draw + content, 9))
    return file.add(
        b"<< /Type /Page /Parent %d 0 R /MediaBox [ 0 0 %s %s ] /Resources << %s>> /Contents %d 0 R >>"
        % (tree, number_bytes(image.width), number_bytes(image.height), resources, stream)
    )
