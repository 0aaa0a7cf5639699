import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import check_layers  # noqa: E402


class CheckLayers(unittest.TestCase):
    def violations(self, files):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder)
            for name, text in files.items():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_text(text, encoding="utf-8")
            return check_layers.check(source)

    def test_takes_what_the_layers_allow(self):
        self.assertEqual(self.violations({
            "core/a.h": "#include <string>\n",
            "kernels/a.h": '#include "core/a.h"\n',
            "kernels/a.cc": '#include "kernels/a.h"\n#include "kernels/cpu/a.h"\n',
            "kernels/cpu/a.h": '#include "kernels/a.h"\n',
            "kernels/cuda/a.cu": "#include <cuda_runtime.h>\n#include <cub/cub.cuh>\n",
            "kernels/CMakeLists.txt": "hachi_library(kernels\n  SOURCES a.cc\n  USES core fmt::fmt)",
            "cli/main.cc": '#include "kernels/a.h"\n',
            "server/a.cc": '#include "kernels/a.h"\n',
        }), [])

    def test_refuses_an_include_upwards_or_sidewards(self):
        self.assertEqual(self.violations({
            "core/a.h": '\n#include "formats/a.h"\n',
            "formats/a.h": "",
            "tokenizer/a.h": "",
            "engine/a.h": '#include "formats/a.h"\n  #  include "tokenizer/a.h"\n',
            "server/a.h": "",
            "train/a.h": '#include "server/a.h"\n',
        }), [
            ("core/a.h", 2, "core may not use formats"),
            ("engine/a.h", 1, "engine may not use formats"),
            ("engine/a.h", 2, "engine may not use tokenizer"),
            ("train/a.h", 1, "train may not use server"),
        ])

    def test_refuses_unknown_files_and_folders(self):
        self.assertEqual(self.violations({
            "core/a.cc": '#include "a.h"\n#include "core/b.h"\n',
            "core/a.h": "",
            "misc/a.h": "",
        }), [
            ("core/a.cc", 1, '"a.h" is not below src/'),
            ("core/a.cc", 2, '"core/b.h" is not below src/'),
            ("misc/a.h", 1, "misc is not a folder of the layers"),
        ])

    def test_keeps_devices_apart(self):
        found = self.violations({
            "kernels/ref/a.h": "",
            "kernels/cpu/a.cc": '#include "kernels/ref/a.h"\n#include <cuda_fp16.h>\n',
            "model/a.cc": "#include <cublasLt.h>\n",
        })
        self.assertEqual([(path, line) for path, line, _ in found],
                         [("kernels/cpu/a.cc", 1), ("kernels/cpu/a.cc", 2), ("model/a.cc", 1)])

    def test_finds_circles(self):
        self.assertEqual(self.violations({
            "core/a.h": '#include "core/b.h"\n',
            "core/b.h": '#include "core/c.h"\n',
            "core/c.h": '#include "core/a.h"\n',
            "core/d.h": '#include "core/d.h"\n',
            "core/e.h": '#include "core/a.h"\n#include "core/b.h"\n',
        }), [
            ("core/c.h", 1, "closes the circle core/a.h > core/b.h > core/c.h > core/a.h"),
            ("core/d.h", 1, "closes the circle core/d.h > core/d.h"),
        ])

    def test_compares_cmake_with_the_includes(self):
        self.assertEqual(self.violations({
            "core/a.h": "",
            "formats/a.cc": '#include "core/a.h"\n',
            "formats/CMakeLists.txt": "\nhachi_library(formats SOURCES a.cc USES kernels)\n",
        }), [
            ("formats/CMakeLists.txt", 2, "USES of formats lacks core, which it includes"),
            ("formats/CMakeLists.txt", 2, "formats may not use kernels"),
        ])


if __name__ == "__main__":
    unittest.main()
