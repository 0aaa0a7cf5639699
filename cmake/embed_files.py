"""The files of a manifest, as one blob and a C++ table of it; or served as they are (see files_of).

    embed_files.py list MANIFEST                  the files, one a line
    embed_files.py write MANIFEST BLOB SOURCE     the blob, and the source file that includes it

A manifest's line is a URL path and one or more files or patterns, relative to its folder.
"""

import glob
import gzip
import hashlib
import pathlib
import sys

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}

SOURCE = """\
// Written by cmake/embed_files.py: do not edit.
#include "server/page.h"

asm(R"(
  .pushsection .rodata
  .balign 16
  .global hachi_page_bytes
hachi_page_bytes:
  .incbin "{blob}"
  .popsection
)");
extern "C" const char hachi_page_bytes[{size}];

namespace hachi::server {{
namespace {{
constexpr Asset kAssets[] = {{
{rows}
}};
}}  // namespace

std::span<const Asset> assets() {{ return kAssets; }}

}}  // namespace hachi::server
"""


def files_of(manifest):
    """{URL path: file}, in the order of the paths. Ends the program if a file is missing."""
    files = {}
    for line in manifest.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        url, *patterns = line.split()
        for pattern in patterns:
            found = sorted(glob.glob(str(manifest.parent / pattern)))
            if not found:
                sys.exit(f"The chat page needs {pattern}: install what tools/packages.txt lists.")
            for name in found:
                file = pathlib.Path(name)
                files[url.replace("*", file.name)] = file
    return dict(sorted(files.items()))


def write(manifest, blob, source):
    rows = []
    parts = []
    size = 0
    for url, file in files_of(manifest).items():
        data = file.read_bytes()
        etag = hashlib.sha256(data).hexdigest()[:16]
        packed = gzip.compress(data, 9, mtime=0)
        # The first page stays plain, for whoever looks at it with a bare client.
        is_packed = url != "/" and len(packed) < len(data)
        part = packed if is_packed else data
        content_type = CONTENT_TYPES[file.suffix]
        view = f"{{hachi_page_bytes + {size}, {len(part)}}}"
        flag = str(is_packed).lower()
        rows.append(f'    {{"{url}", "{content_type}", {view}, "\\"{etag}\\"", {flag}}},')
        parts.append(part)
        size += len(part)
    blob.write_bytes(b"".join(parts))
    source.write_text(SOURCE.format(blob=blob, size=size, rows="\n".join(rows)))


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    paths = [pathlib.Path(path).absolute() for path in paths]
    if command == "list":
        print("\n".join(map(str, files_of(paths[0]).values())))
    else:
        write(*paths)
