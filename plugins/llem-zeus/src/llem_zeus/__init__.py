"""Zeus as an energy sampler of llem. Importing this package or its plugin does not import Zeus."""
