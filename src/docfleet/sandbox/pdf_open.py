"""Opens a PDF: passwords, damage, repair."""

from __future__ import annotations

import ctypes
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pypdfium2_raw.bindings as raw

from docfleet.domain.media import PDF_HEADER_WINDOW
from docfleet.errors import (
    Damaged,
    DocumentError,
    NoPages,
    PasswordRequired,
    PasswordWrong,
    TooManyPages,
    UnsupportedType,
)
from docfleet.sandbox import pdfium

_OBJECT_HEAD = re.compile(rb"(?<![0-9])([0-9]{1,8})[ \t\r\n]{1,4}([0-9]{1,5})[ \t\r\n]{1,4}obj")
_PAGE_TYPE = re.compile(rb"/Type[ \t\r\n]{0,4}/Page(?![A-Za-z])")
_PAGE_DICTIONARY_BYTES = 4_000
_HIGHEST_OBJECT = 8_388_607
"""What readers take (PDF 1.7 reference, annex C)."""
_HEADER_SEARCH = 1 << 20
"""How far into a file its header is looked for when junk stands before it."""


class PdfDocument:
    """A PDF that PDFium has open, perhaps in a repaired copy. Pages are counted from 1."""

    def __init__(self, handle: int, source: bytes | None, path: str, password: str | None, repaired: bool) -> None:
        self.handle = handle
        self._source = source  # PDFium reads from it as long as the document is open
        self.path = path
        self.password = password
        self.repaired = repaired
        self.pages: int = pdfium.count_pages(handle)
        self.encrypted = password is not None or pdfium.security_revision(handle) >= 0
        self._form_info: object = None
        self._form: int | None = None

    @property
    def form(self) -> int | None:
        """The form environment, made on first use; None for documents without form fields.

        It draws what fields hold when the file brings no picture of it. Scripts never run: no JavaScript platform is
        offered and no document action is started.
        """
        if self._form is None and pdfium.form_type(self.handle) > 0:
            info = raw.FPDF_FORMFILLINFO()
            info.version = 2
            info.xfa_disabled = True
            self._form_info = info  # PDFium keeps the pointer
            self._form = pdfium.init_forms(self.handle, ctypes.addressof(info))
            if self._form:
                pdfium.set_form_highlight_alpha(self._form, 0)
        return self._form or None

    def replace_by(self, other: PdfDocument) -> None:
        """Goes on with `other`, a repaired copy of the same file, which must not be used on its own any more."""
        self.close()
        self.handle, self._source = other.handle, other._source
        self.pages, self.repaired = min(self.pages, other.pages), True

    def close(self) -> None:
        if self._form:
            pdfium.exit_forms(self._form)
            self._form = None
        if self.handle:
            pdfium.close_document(self.handle)
            self.handle = 0
        self._source = None


def open_pdf(path: str, passwords: Sequence[str], max_pages: int, repair_first: bool = False) -> PdfDocument:
    """Opens the PDF at `path`, with the first password that fits; the empty one is always tried.

    What PDFium cannot open, or finds no page in, is opened from a copy that qpdf repaired or that was rebuilt from the
    objects left. Raises `PasswordRequired`, `PasswordWrong`, `UnsupportedType` (unknown encryption), `Damaged`,
    `NoPages`, `TooManyPages`.
    """
    first_error: DocumentError | None = None
    if not repair_first:
        try:
            document = _open_as_is(path, passwords)
            if document.pages > 0:
                return _checked(document, max_pages)
            document.close()
            first_error = NoPages()
        except (Damaged, UnsupportedType) as error:
            first_error = error
    try:
        return _checked(open_repaired(path, passwords), max_pages)
    except (Damaged, NoPages) as error:
        # An intact document with an empty page tree is no damage.
        raise first_error or error from error


def _checked(document: PdfDocument, max_pages: int) -> PdfDocument:
    if document.pages > max_pages:
        document.close()
        raise TooManyPages(f"The document has {document.pages} pages; the limit is {max_pages}.")
    if document.pages < 1:
        document.close()
        raise NoPages()
    return document


def _open_as_is(path: str, passwords: Sequence[str]) -> PdfDocument:
    source = _without_junk(path)
    for password in (None, *passwords):
        for spelling in _spellings(password):
            if source is None:
                handle = pdfium.load_document(os.fsencode(path), spelling)
            else:
                handle = pdfium.load_document_from_memory(source, len(source), spelling)
            if handle:
                return PdfDocument(handle, source, path, password, repaired=False)
            reason = pdfium.get_last_error()
            if reason == pdfium.ERROR_SECURITY:
                raise UnsupportedType("The document is encrypted in a way that docfleet cannot open.")
            if reason != pdfium.ERROR_PASSWORD:
                raise Damaged()
    raise PasswordWrong() if passwords else PasswordRequired()


def _spellings(password: str | None) -> list[bytes | None]:
    """Older encryption takes the password in a one-byte encoding, newer in UTF-8 (ISO 32000-2, 7.6.4)."""
    if password is None:
        return [None]
    found: list[bytes | None] = [password.encode()]
    try:
        if password.encode("latin-1") not in found:
            found.append(password.encode("latin-1"))
    except UnicodeEncodeError:
        pass
    return found


def _without_junk(path: str) -> bytes | None:
    """The file from its header on, when that stands farther in than readers look; None when nothing is to be cut."""
    with open(path, "rb") as file:
        head = file.read(_HEADER_SEARCH)
        at = head.find(b"%PDF-")
        if at <= PDF_HEADER_WINDOW:
            return None
        return head[at:] + file.read()


def open_repaired(path: str, passwords: Sequence[str]) -> PdfDocument:
    """Opens a copy of the PDF at `path` that qpdf wrote anew. Raises as `open_pdf`."""
    copy, password = repaired_copy(path, passwords)
    handle = pdfium.load_document_from_memory(copy, len(copy), None)
    if not handle:
        raise Damaged()
    document = PdfDocument(handle, copy, path, password, repaired=True)
    if document.pages < 1:
        document.close()
        raise NoPages()
    return document


def repaired_copy(path: str, passwords: Sequence[str]) -> tuple[bytes, str | None]:
    """The PDF at `path` as qpdf writes it anew, without encryption, and the password that opened it (None: not
    encrypted). Raises `Damaged`, `PasswordRequired`, `PasswordWrong`."""
    # Only damaged documents pay for loading qpdf.
    import pikepdf

    source = _without_junk(path)
    for password in (None, *passwords):
        try:
            opened = pikepdf.open(
                io.BytesIO(source) if source is not None else path,
                password=password or "",
                suppress_warnings=True,
                access_mode=pikepdf.AccessMode.default,
            )
        except pikepdf.PasswordError:
            continue
        except (pikepdf.PdfError, pikepdf.DataDecodingError, ValueError, RuntimeError, OSError) as error:
            rebuilt = rebuild(Path(path).read_bytes() if source is None else source)
            if rebuilt is None:
                raise Damaged() from error
            return rebuilt, None
        with opened as pdf:
            encrypted = pdf.is_encrypted
            try:
                _restore_pages(pdf)
                copy = io.BytesIO()
                pdf.save(copy, encryption=False, fix_metadata_version=False)
            except (pikepdf.PdfError, pikepdf.DataDecodingError, ValueError, RuntimeError, LookupError) as error:
                raise Damaged() from error
        return copy.getvalue(), ((password or "") if encrypted else None)
    raise PasswordWrong() if passwords else PasswordRequired()


def rebuild(data: bytes) -> bytes | None:
    """The file with a new catalogue and page tree at its end, over all page objects that stand in the open; None
    without any. What pages inherited from their lost tree (size, fonts) is lost with it.

    The offset of the cross-reference table is made wrong, so that readers look for the objects themselves.
    """
    pages: dict[int, bytes] = {}
    highest = 0
    for head in _OBJECT_HEAD.finditer(data):
        number = int(head[1])
        highest = max(highest, number)
        body = data[head.end() : head.end() + _PAGE_DICTIONARY_BYTES].partition(b"endobj")[0]
        if _PAGE_TYPE.search(body):
            pages[number] = b"%d %d R" % (number, int(head[2]))
        else:
            pages.pop(number, None)
    if not pages or highest > _HIGHEST_OBJECT:
        return None
    catalogue, tree = highest + 1, highest + 2
    return b"".join((
        data,
        b"\nendobj\n%d 0 obj\n<< /Type /Catalog /Pages %d 0 R >>\nendobj\n" % (catalogue, tree),
        b"%d 0 obj\n<< /Type /Pages /Count %d /Kids [%s] >>\nendobj\n" % (tree, len(pages), b" ".join(pages.values())),
        b"trailer\n<< /Root %d 0 R /Size %d >>\nstartxref\n0\n%%%%EOF\n" % (catalogue, tree + 1),
    ))  # fmt: skip


def _restore_pages(pdf: object) -> None:
    """Builds a new page tree from the page objects found in the file when the old one leads to none of them."""
    import pikepdf

    assert isinstance(pdf, pikepdf.Pdf)
    try:
        if len(pdf.pages) > 0:
            return
    except (pikepdf.PdfError, ValueError, RuntimeError, LookupError, TypeError, AttributeError):
        pass
    kids = [
        item
        for item in pdf.objects
        if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == pikepdf.Name.Page and "/Contents" in item
    ]
    if not kids:
        return
    tree = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Pages, Count=len(kids), Kids=pikepdf.Array(kids)))
    for kid in kids:
        kid["/Parent"] = tree
        if "/MediaBox" not in kid:
            kid["/MediaBox"] = pikepdf.Array([0, 0, 612, 792])
    pdf.trailer["/Root"] = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Catalog, Pages=tree))
