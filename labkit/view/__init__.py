"""The live view: what happens to a workflow, while it happens and again afterwards, in a notebook or a page."""
