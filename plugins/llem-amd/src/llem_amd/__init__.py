"""AMD GPUs for llem. Importing this package or its plugin does not load AMD SMI."""
