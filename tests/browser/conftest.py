"""ComfyUI's page in a real browser, on the server of the whole suite."""

import warnings
from importlib import import_module

import pytest

NO_CHROMIUM = "NO BROWSER TESTS: there is no Chromium (Debian: apt-get install chromium)"


@pytest.fixture(scope="session")
def chromium():
    """The system's Chromium; without one these tests are skipped, and the summary says so."""
    support = import_module("browser")
    if support.chromium() is None:
        warnings.warn(NO_CHROMIUM, stacklevel=1)
        pytest.skip(NO_CHROMIUM)
    with support.browser() as running:
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["classic", "nodes 2.0"])
def tab(request, chromium, server):
    """A tab in each renderer, dark and light; no script of the pack may complain in it."""
    page = import_module("browser").Page(chromium, server.url, request.param, light=request.param)
    yield page
    page.close()
    assert page.errors == []
