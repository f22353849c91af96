"""Tiny Wan: a Wan 2.1 model of 3.4 M parameters for tests, and the two nodes the host lacks for it.

Link this folder into `custom_nodes` as `tiny_wan`. Everything but the nodes works without a host.
"""


async def comfy_entrypoint():
    """The extension the host asks for; the host is imported only here."""
    from .nodes import TinyWanExtension

    return TinyWanExtension()
