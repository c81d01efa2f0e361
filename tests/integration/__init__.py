"""Tests of the services on real servers."""

import pytest

pytest.register_assert_rewrite("tests.integration.model_checks", "tests.integration.model_following")
