"""What tests of the report share."""

import pytest
from report_case import Case, write_case


@pytest.fixture(scope="session")
def case(tmp_path_factory) -> Case:
    """Twelve images of six patients."""
    return write_case(tmp_path_factory.mktemp("report"))


@pytest.fixture
def val(load_tool):
    """Run tools/val.py; returns the exit code."""

    def call(*argv: object) -> int:
        try:
            return load_tool("val").main([str(x) for x in argv])
        except SystemExit as stop:
            return int(stop.code or 0)

    return call
