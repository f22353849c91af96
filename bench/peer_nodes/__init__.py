"""Nodes with which `bench peers` measures from inside the server; a pack of its own, for it alone.

Linked into `custom_nodes` as `step_cache_bench`. Imports nothing of Wan Step Cache.
"""


async def comfy_entrypoint():
    """The extension the host asks for; the host is imported only here."""
    from .nodes import BenchExtension  # noqa: PLC0415

    return BenchExtension()
