"""Measurements of the pack on a real ComfyUI: `python3 dev.py bench --help`. Not shipped."""
