"""Apptainer's own messages turned into the errors that they mean."""

from __future__ import annotations

import re

from llem.plugin_api import LlemError, PreflightError
from llem_containers.errors import DiskFull, ImageMissing, ImageUnfit, PullFailed
from llem_containers.image_facts import no_python

REFUSED = 255
"""Apptainer's exit code where it could not start the container, or not the program in it. llem's worker has no such code."""

_FATAL = re.compile(r"^(?:\x1b\[[0-9;]*m)*(?:FATAL|ERROR):\s*(?:\x1b\[[0-9;]*m)*\s*(.*)$", re.MULTILINE)


class ApptainerUnavailable(PreflightError):  # noqa: N818
    """Apptainer is not installed, too old, or this user may not start containers."""

    topic = "apptainer"


class ContainerRefused(LlemError):  # noqa: N818
    """Apptainer would not start the container, for another reason."""

    topic = "apptainer"


def fatal(text: str) -> str | None:
    """The last error that Apptainer printed, on one line of at most 400 characters; None where it printed none."""
    found = _FATAL.findall(text)
    if not found:
        return None
    line = re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", found[-1])).strip()
    return line if len(line) <= 400 else f"{line[:400]}…"


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


RIGHTS_REMEDY = (
    "Ask the site for one of the two: Apptainer's setuid installation (apptainer-suid), or user namespaces for users "
    "(sysctl user.max_user_namespaces above 0; on Ubuntu also a profile of AppArmor for apptainer)."
)


def build_error(text: str, image: str) -> LlemError:
    """The error that Apptainer's message about making a SIF file means."""
    message = fatal(text) or " ".join(text.split())[-400:] or "it printed nothing"
    lower = message.lower()
    what = f"no SIF file can be made of {image}: {message}."
    if "no space left" in lower or "quota exceeded" in lower:
        return DiskFull(
            what, remedy="Make room in the cache folder and in APPTAINER_TMPDIR, or set them to another disk."
        )
    if "docker archive" in lower or "tar header" in lower:
        return ImageUnfit(what, remedy="It has to be what `docker save IMAGE -o FILE.tar` writes.")
    if any(word in lower for word in ("unauthorized", "denied", "authentication", "forbidden")):
        return PullFailed(what, remedy="Check the name; if it is private: apptainer registry login docker://REGISTRY.")
    if any(word in lower for word in ("manifest unknown", "not found", "does not exist", "name unknown")):
        return PullFailed(what, remedy="Check name and tag.")
    if "toomanyrequests" in lower or "rate limit" in lower:
        return PullFailed(what, remedy="Wait, or log in: apptainer registry login docker://docker.io.")
    return PullFailed(
        what,
        remedy="Check the network of this machine. Where a node has none, make the file elsewhere (apptainer pull FILE.sif docker://IMAGE) "
        "and name it: --runner apptainer:FILE.sif.",
    )
