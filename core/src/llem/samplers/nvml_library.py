"""NVML itself: loaded when it is first needed, and asked in a way that an answer it cannot give is None."""

from __future__ import annotations

from typing import Any

from llem.errors import SamplerUnavailable
from llem.samplers.visible import Gpu

_REMEDIES = {
    "NVMLError_LibraryNotFound": "On a machine with an NVIDIA GPU, install its driver; in a container, pass the GPU in (--gpus).",
    "NVMLError_DriverNotLoaded": "Load the driver (sudo modprobe nvidia), or reboot after an installation.",
    "NVMLError_LibRmVersionMismatch": "The driver was updated under a running system: reboot, or reload the kernel module.",
    "NVMLError_NoPermission": "Give the user access to /dev/nvidia*, as the administrator decides.",
}


class Nvml:
    """The loaded library. Calls answer None where the card or the driver cannot.

    Raises:
        SamplerUnavailable: there is no library, no driver, or they do not fit each other.
    """

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise SamplerUnavailable(
                f"the NVML bindings cannot be imported: {error}.", remedy="Install them: pip install nvidia-ml-py."
            ) from error
        self.lib: Any = pynvml
        try:
            pynvml.nvmlInit()
        except (pynvml.NVMLError, OSError) as error:
            raise SamplerUnavailable(
                f"NVML does not start: {_message(error)}.", remedy=_REMEDIES.get(type(error).__name__)
            ) from error

    def ask(self, function: str, *arguments: Any) -> Any:
        """The answer of an NVML function, or None where it fails or this version of the bindings has none of that name."""
        call = getattr(self.lib, function, None)
        if call is None:
            return None
        try:
            answer = call(*arguments)
        except (self.lib.NVMLError, OSError, ValueError):
            return None
        return answer.decode() if isinstance(answer, bytes) else answer

    def cards(self) -> list[tuple[Gpu, Any]]:
        """Every card that answers, with its handle, in the order of the PCI bus."""
        found = []
        for index in range(self.ask("nvmlDeviceGetCount") or 0):
            handle = self.ask("nvmlDeviceGetHandleByIndex", index)
            uuid = None if handle is None else self.ask("nvmlDeviceGetUUID", handle)
            if uuid is not None:
                found.append((Gpu(index, uuid, self.ask("nvmlDeviceGetName", handle) or "NVIDIA GPU"), handle))
        return found

    def memory(self, handle: Any) -> Any:
        """Memory of a card; what the driver keeps for itself is not counted as used, where the driver tells it apart."""
        version = getattr(self.lib, "nvmlMemory_v2", None)
        apart = self.ask("nvmlDeviceGetMemoryInfo", handle, version) if version else None
        return apart if apart is not None else self.ask("nvmlDeviceGetMemoryInfo", handle)

    def processes(self, handle: Any) -> dict[int, float | None]:
        """Processes that hold memory on a card: pid to MiB, None where the driver does not tell how much."""
        found: dict[int, float | None] = {}
        for kind in ("Compute", "Graphics"):
            for process in self.ask(f"nvmlDeviceGet{kind}RunningProcesses", handle) or ():
                held = process.usedGpuMemory
                found[process.pid] = None if held is None else held / 2**20
        return found

    def versions(self) -> tuple[str | None, str | None]:
        """Of the driver, and of the CUDA that it brings."""
        driver, cuda = self.ask("nvmlSystemGetDriverVersion"), self.ask("nvmlSystemGetCudaDriverVersion")
        return driver, None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}"

    def close(self) -> None:
        """Let go of the library."""
        self.ask("nvmlShutdown")


def _message(error: Exception) -> str:
    return str(error) or type(error).__name__
