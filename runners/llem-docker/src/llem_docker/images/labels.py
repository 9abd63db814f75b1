"""Labels of the images that llem builds: OCI's own, and llem's facts that preflight compares with the host."""

from __future__ import annotations

from llem_containers.findings import CUDA_LABEL

LLEM_VERSION = "llem.version"
"""Version of llem inside."""
BACKEND = "llem.backend"
"""Name of the backend that the image runs."""
TARGET = "llem.target"
"""`cuda` or `cpu`."""
ENGINE = "llem.engine"
"""Distribution of the engine inside, such as `vllm`."""
ENGINE_VERSION = "llem.engine.version"
CUDA = CUDA_LABEL
"""CUDA that the engine inside was built for, such as `13.0`; empty in an image for CPUs."""

OCI = "org.opencontainers.image."
"""Prefix of the labels that OCI defines: title, version, revision, source, created, base.name …"""
