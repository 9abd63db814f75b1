"""The makers of the reference pages: one module a page, each with a function `page` that returns Markdown."""
