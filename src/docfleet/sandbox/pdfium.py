"""PDFium's C functions, bound for speed.

pypdfium2's generated bindings release the interpreter lock on every call and check each argument against a pointer
class: right for a library, and a third of the time of a call that returns one character. The child has one thread and
no such worries, so the functions that run once per character or object are bound here a second time, to plain integers
for pointers, and driven by `map` so that the loop itself runs in C. Everything else goes through the generated ones.
"""

from __future__ import annotations

import ctypes
from ctypes import PYFUNCTYPE, c_char_p, c_float, c_int, c_size_t, c_uint, c_ulong, c_void_p, cast
from typing import Any

import pypdfium2_raw.bindings as raw

PAGE_OBJECT_TEXT, PAGE_OBJECT_PATH, PAGE_OBJECT_IMAGE, PAGE_OBJECT_SHADING, PAGE_OBJECT_FORM = 1, 2, 3, 4, 5
SEGMENT_LINE, SEGMENT_BEZIER, SEGMENT_MOVE = 0, 1, 2
ERROR_PASSWORD, ERROR_SECURITY = 4, 5


def _bind(name: str, result: Any, *arguments: Any) -> Any:
    address = cast(getattr(raw, name), c_void_p).value
    assert address is not None
    return PYFUNCTYPE(result, *arguments)(address)


get_last_error = _bind("FPDF_GetLastError", c_ulong)
load_document = _bind("FPDF_LoadDocument", c_void_p, c_char_p, c_char_p)
load_document_from_memory = _bind("FPDF_LoadMemDocument64", c_void_p, c_void_p, c_size_t, c_char_p)
close_document = _bind("FPDF_CloseDocument", None, c_void_p)
count_pages = _bind("FPDF_GetPageCount", c_int, c_void_p)
security_revision = _bind("FPDF_GetSecurityHandlerRevision", c_int, c_void_p)
form_type = _bind("FPDF_GetFormType", c_int, c_void_p)
init_forms = _bind("FPDFDOC_InitFormFillEnvironment", c_void_p, c_void_p, c_void_p)
exit_forms = _bind("FPDFDOC_ExitFormFillEnvironment", None, c_void_p)
after_load_page = _bind("FORM_OnAfterLoadPage", None, c_void_p, c_void_p)
before_close_page = _bind("FORM_OnBeforeClosePage", None, c_void_p, c_void_p)
draw_forms = _bind("FPDF_FFLDraw", None, c_void_p, c_void_p, c_void_p, c_int, c_int, c_int, c_int, c_int, c_int)
set_form_highlight_alpha = _bind("FPDF_SetFormFieldHighlightAlpha", None, c_void_p, ctypes.c_ubyte)

load_page = _bind("FPDF_LoadPage", c_void_p, c_void_p, c_int)
close_page = _bind("FPDF_ClosePage", None, c_void_p)
page_width = _bind("FPDF_GetPageWidthF", c_float, c_void_p)
page_height = _bind("FPDF_GetPageHeightF", c_float, c_void_p)
page_rotation = _bind("FPDFPage_GetRotation", c_int, c_void_p)
page_bounding_box = _bind("FPDF_GetPageBoundingBox", c_int, c_void_p, c_void_p)
flatten_page = _bind("FPDFPage_Flatten", c_int, c_void_p, c_int)
count_annotations = _bind("FPDFPage_GetAnnotCount", c_int, c_void_p)
get_annotation = _bind("FPDFPage_GetAnnot", c_void_p, c_void_p, c_int)
close_annotation = _bind("FPDFPage_CloseAnnot", None, c_void_p)
annotation_subtype = _bind("FPDFAnnot_GetSubtype", c_int, c_void_p)

load_text = _bind("FPDFText_LoadPage", c_void_p, c_void_p)
close_text = _bind("FPDFText_ClosePage", None, c_void_p)
count_chars = _bind("FPDFText_CountChars", c_int, c_void_p)
char_code = _bind("FPDFText_GetUnicode", c_uint, c_void_p, c_int)
get_text = _bind("FPDFText_GetText", c_int, c_void_p, c_int, c_int, c_void_p)
char_loose_box = _bind("FPDFText_GetLooseCharBox", c_int, c_void_p, c_int, c_void_p)
char_object = _bind("FPDFText_GetTextObject", c_void_p, c_void_p, c_int)
char_matrix = _bind("FPDFText_GetMatrix", c_int, c_void_p, c_int, c_void_p)
char_is_generated = _bind("FPDFText_IsGenerated", c_int, c_void_p, c_int)
char_is_hyphen = _bind("FPDFText_IsHyphen", c_int, c_void_p, c_int)
char_map_error = _bind("FPDFText_HasUnicodeMapError", c_int, c_void_p, c_int)

text_object_font = _bind("FPDFTextObj_GetFont", c_void_p, c_void_p)
text_object_font_size = _bind("FPDFTextObj_GetFontSize", c_int, c_void_p, c_void_p)
text_object_render_mode = _bind("FPDFTextObj_GetTextRenderMode", c_int, c_void_p)
font_base_name = _bind("FPDFFont_GetBaseFontName", c_size_t, c_void_p, c_void_p, c_size_t)
font_weight = _bind("FPDFFont_GetWeight", c_int, c_void_p)
font_flags = _bind("FPDFFont_GetFlags", c_int, c_void_p)
font_italic_angle = _bind("FPDFFont_GetItalicAngle", c_int, c_void_p, c_void_p)

count_objects = _bind("FPDFPage_CountObjects", c_int, c_void_p)
page_object = _bind("FPDFPage_GetObject", c_void_p, c_void_p, c_int)
object_type = _bind("FPDFPageObj_GetType", c_int, c_void_p)
object_has_transparency = _bind("FPDFPageObj_HasTransparency", c_int, c_void_p)
object_bounds = _bind("FPDFPageObj_GetBounds", c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)
object_matrix = _bind("FPDFPageObj_GetMatrix", c_int, c_void_p, c_void_p)
object_clip_path = _bind("FPDFPageObj_GetClipPath", c_void_p, c_void_p)
object_fill_colour = _bind("FPDFPageObj_GetFillColor", c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)
object_stroke_colour = _bind("FPDFPageObj_GetStrokeColor", c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)
object_stroke_width = _bind("FPDFPageObj_GetStrokeWidth", c_int, c_void_p, c_void_p)
count_form_objects = _bind("FPDFFormObj_CountObjects", c_int, c_void_p)
form_object = _bind("FPDFFormObj_GetObject", c_void_p, c_void_p, c_ulong)
path_draw_mode = _bind("FPDFPath_GetDrawMode", c_int, c_void_p, c_void_p, c_void_p)
count_path_segments = _bind("FPDFPath_CountSegments", c_int, c_void_p)
path_segment = _bind("FPDFPath_GetPathSegment", c_void_p, c_void_p, c_int)
segment_type = _bind("FPDFPathSegment_GetType", c_int, c_void_p)
segment_point = _bind("FPDFPathSegment_GetPoint", c_int, c_void_p, c_void_p, c_void_p)
segment_close = _bind("FPDFPathSegment_GetClose", c_int, c_void_p)
count_clip_paths = _bind("FPDFClipPath_CountPaths", c_int, c_void_p)
count_clip_segments = _bind("FPDFClipPath_CountPathSegments", c_int, c_void_p, c_int)
clip_segment = _bind("FPDFClipPath_GetPathSegment", c_void_p, c_void_p, c_int, c_int)
image_pixel_size = _bind("FPDFImageObj_GetImagePixelSize", c_int, c_void_p, c_void_p, c_void_p)

create_bitmap = _bind("FPDFBitmap_CreateEx", c_void_p, c_int, c_int, c_int, c_void_p, c_int)
destroy_bitmap = _bind("FPDFBitmap_Destroy", None, c_void_p)
fill_bitmap = _bind("FPDFBitmap_FillRect", c_int, c_void_p, c_int, c_int, c_int, c_int, c_ulong)
render_page = _bind("FPDF_RenderPageBitmap", None, c_void_p, c_void_p, c_int, c_int, c_int, c_int, c_int, c_int)


def init_library() -> None:
    """Starts PDFium; once per process."""
    config = raw.FPDF_LIBRARY_CONFIG()
    config.version = 2
    raw.FPDF_InitLibraryWithConfig(ctypes.byref(config))
