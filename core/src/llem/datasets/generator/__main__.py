"""`python -m llem.datasets.generator` writes the built-in prompts anew."""

from llem.datasets.aienergyscore import FILE
from llem.datasets.generator import build

print(f"{FILE}: {build.write():,} bytes")
