"""The tools behind dev.py: a real ComfyUI to develop, test and measure the pack with."""
