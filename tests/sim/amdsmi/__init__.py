"""A simulated AMD SMI: builds the shared library that the real bindings load, so that they run without a GPU."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from sim.compiler import compile_library

HERE = Path(__file__).parent
SCENARIO = HERE.parent / "nvml"


def build(folder: Path) -> Path:
    """Compile `lib/libamd_smi.so` into a folder, which then goes into ROCM_PATH. Raises where there is no C compiler.

    The bindings look up every function that they know when they are imported: those that the simulator lacks
    say `not supported`.
    """
    found = importlib.util.find_spec("amdsmi")
    assert found is not None
    assert found.origin is not None
    names = re.findall(
        r"_libraries\['libamd_smi\.so'\]\.(\w+)", (Path(found.origin).parent / "amdsmi_wrapper.py").read_text()
    )
    written = set(re.findall(r"^API int (\w+)\(", (HERE / "amdsmi.c").read_text(), re.MULTILINE))
    assert written <= set(names), written - set(names)
    others = folder / "others.c"
    visible = '__attribute__((visibility("default")))'
    others.write_text("".join(f"{visible} int {name}(void) {{ return 2; }}\n" for name in sorted({*names} - written)))
    library = folder / "lib" / "libamd_smi.so"
    library.parent.mkdir()
    sources = [HERE / "amdsmi.c", others, *(SCENARIO / name for name in ("scenario.c", "power.c"))]
    compile_library(library, sources, f"-I{SCENARIO}")
    return library
