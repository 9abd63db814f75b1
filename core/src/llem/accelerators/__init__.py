"""Accelerators of this machine, as every stage asks for them: by the hook `llem_accelerators`, whoever made them."""
