"""What the documentation says about numbers is what the code does."""

from devtools import preset_tables


def test_the_page_of_presets_is_what_the_tables_say():
    assert preset_tables.PAGE.read_text(encoding="ascii") == preset_tables.page(), (
        "Run `python3 -m devtools.preset_tables`."
    )
