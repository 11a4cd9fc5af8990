"""The tree of errors is drawn as it is, and all of it can be imported from the package."""

from __future__ import annotations

import importlib
import pkgutil
import re

from docfleet import errors
from docfleet.errors import DocfleetError, RequestError, document_error_codes, request_error_codes


def _all_errors() -> dict[str, type[DocfleetError]]:
    modules = [
        importlib.import_module(found.name) for found in pkgutil.iter_modules(errors.__path__, "docfleet.errors.")
    ]
    named = [item for module in modules for item in vars(module).items()]
    return {name: value for name, value in named if isinstance(value, type) and issubclass(value, DocfleetError)}


def _drawn() -> dict[str, str]:
    """Error -> the one it hangs on."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        mark = re.match(r"    ((?:│   |    )*)(?:├── |└── )(\w+)", line)
        if mark is None:
            if re.fullmatch(r"    \w+", line):
                path = [line.strip()]
            continue
        depth = len(mark[1]) // 4 + 1
        path = [*path[:depth], mark[2]]
        parents[mark[2]] = path[-2]
    return parents


def test_the_drawing_is_the_tree() -> None:
    told = {name: cls.__mro__[1].__name__ for name, cls in _all_errors().items() if cls is not DocfleetError}
    assert _drawn() == told


def test_all_are_to_be_had_from_the_package() -> None:
    assert {name for name in errors.__all__ if not name.endswith("_codes")} == _all_errors().keys()
    for name, cls in _all_errors().items():
        assert getattr(errors, name) is cls


def test_codes_are_told_apart() -> None:
    codes = [cls.code for cls in _all_errors().values()]
    assert len(set(codes)) == len(codes)
    assert set(request_error_codes().values()) == {
        cls for cls in _all_errors().values() if issubclass(cls, RequestError) and cls is not RequestError
    }
    assert {"empty", "engine_busy", "unexpected"} <= document_error_codes().keys()
