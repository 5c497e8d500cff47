"""Reports of a run: a self-contained page, Markdown for pull requests, JUnit XML for continuous integration."""
