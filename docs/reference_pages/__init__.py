"""What the reference pages are made of: one module a page, each with a function `page` that returns Markdown."""
