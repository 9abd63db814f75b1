"""`python -m tools.prompts` writes the built-in prompts anew."""

from llem.datasets.aienergyscore import FILE
from tools.prompts import build

print(f"{FILE}: {build.write():,} bytes")
