"""Apptainer's own messages about a start turned into the errors that they mean."""

from __future__ import annotations

from llem.plugin_api import LlemError
from llem_containers.apptainer import RIGHTS_REMEDY, ApptainerUnavailable
from llem_containers.errors import DiskFull, ImageMissing, ImageUnfit
from llem_containers.image_facts import no_python
from llem_containers.sif import fatal

REFUSED = 255
"""Apptainer's exit code where it could not start the container, or not the program in it. llem's worker has no such code."""


class ContainerRefused(LlemError):  # noqa: N818
    """Apptainer would not start the container, for another reason."""

    topic = "apptainer"


def start_error(text: str, image: str) -> LlemError:
    """The error that Apptainer's message about a start means.

    Args:
        text: what it printed; image: as the user named it.
    """
    message = fatal(text) or " ".join(text.split())[-400:] or "it printed nothing"
    lower = message.lower()
    if '"python3": executable file not found' in lower:
        return no_python(image)
    if "cgroup" in lower:
        return ContainerRefused(
            f"Apptainer cannot limit a container's memory, CPUs or processes here: {message}.",
            remedy="An ordinary user needs control groups of version 2 that systemd delegates. Without them leave memory, cpus and "
            "pids of runner_options.apptainer at null, and let the batch system limit the job.",
        )
    if "network" in lower or "cni" in lower:
        return ContainerRefused(
            f"Apptainer does not give a container a network of its own here: {message}.",
            remedy="Ask for this machine's: --set runner_options.apptainer.network=host.",
        )
    if (
        "user namespace" in lower
        or "userns" in lower
        or "uid_map" in lower
        or "newuidmap" in lower
        or "fakeroot" in lower
    ):
        return ApptainerUnavailable(f"this user may not start containers: {message}.", remedy=RIGHTS_REMEDY)
    if "no such file or directory" in lower and "could not open image" in lower:
        return ImageMissing(
            f"the image {image} is not here: {message}.", remedy="Check the path; `ls -l` shows whether it is there."
        )
    if "image format not recognized" in lower or "not a valid sif" in lower:
        return ImageUnfit(
            f"{image} is no image: {message}.",
            remedy="Make it anew: apptainer build FILE.sif docker-archive:FILE.tar, or docker://IMAGE.",
        )
    if "no space left" in lower or "quota exceeded" in lower:
        return DiskFull(
            f"there is no room for a container: {message}.",
            remedy="Look with `df` at the cache, the results and TMPDIR.",
        )
    if "squashfuse" in lower or "/dev/fuse" in lower or "fuse" in lower:
        return ApptainerUnavailable(
            f"Apptainer cannot mount a SIF file for this user: {message}.",
            remedy="It needs squashfuse and a /dev/fuse that this user may open; or give a folder: apptainer build --sandbox FOLDER FILE.sif.",
        )
    return ContainerRefused(
        f"Apptainer refuses the container: {message}.",
        remedy="Try the same by hand: apptainer --debug exec --containall IMAGE true.",
    )
