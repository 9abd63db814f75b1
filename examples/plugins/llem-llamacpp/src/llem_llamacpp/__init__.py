"""llama.cpp as a backend of llem."""
