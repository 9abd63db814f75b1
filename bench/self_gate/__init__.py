"""llem's gate on llem itself: a real study's bundle is verified and replicated here, and its energy is held against it."""
