"""Tools that maintainers run and nobody installs."""
