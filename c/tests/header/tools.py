"""What other languages' tools make of include/lgalloc.h: cffi, after the preprocessor, and libclang, as it is. Both must
find every function of the export list; libclang must find the comment of each function, type and constant."""
import re
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parents[3]
header = str(root / "include" / "lgalloc.h")
exported = set(re.findall(r"\blgalloc_\w+", (root / "c" / "lgalloc.map").read_text()))


def by_cffi(compiler):
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(subprocess.check_output([compiler, "-E", "-P", "-D__attribute__(x)=", header], text=True))
    assert ffi.sizeof("lgalloc_region") == 40 and ffi.sizeof("lgalloc_status") == 4
    library = ffi.dlopen(None)
    for name in exported:
        # It is declared if what is missing is the symbol, not the declaration.
        try:
            getattr(library, name)
        except AttributeError as error:
            assert "undefined symbol" in str(error), f"cffi does not know {name}: {error}"


def by_libclang(compiler):
    from clang import cindex

    resources = subprocess.check_output(["clang", "-print-resource-dir"], text=True).strip()
    for language in ("c", "c++"):
        unit = cindex.Index.create().parse(header, args=["-x", language, f"-I{resources}/include", "-Wdocumentation"])
        assert not list(unit.diagnostics), [str(diagnostic) for diagnostic in unit.diagnostics]
        kinds = cindex.CursorKind
        documented = {kinds.FUNCTION_DECL, kinds.STRUCT_DECL, kinds.ENUM_DECL, kinds.ENUM_CONSTANT_DECL}
        found = set()
        for cursor in unit.cursor.walk_preorder():
            if cursor.kind not in documented or cursor.location.file is None or cursor.location.file.name != header:
                continue
            found.add(cursor.spelling)
            if cursor.kind == kinds.STRUCT_DECL and not cursor.is_definition():
                continue # the typedef has it
            assert cursor.raw_comment, f"as {language}: {cursor.spelling} has no comment that tools find"
        assert exported <= found, f"as {language}: libclang does not find {sorted(exported - found)}"


{"cffi": by_cffi, "libclang": by_libclang}[sys.argv[1]](sys.argv[2])
