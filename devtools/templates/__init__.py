"""The example workflows: described in workflows/, written to a pack's example_workflows/.

`python3 -m devtools.templates` writes them all.
"""
