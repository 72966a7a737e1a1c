"""docs/migrations.md with a real Django, in the database that it shares with wix-asgi."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import store, stored
from tests.limits import PATIENCE

SETTINGS = """
SECRET_KEY = "test-secret"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "app.db"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
"""
MODELS = """
from django.db import models

class Shop(models.Model):
    name = models.TextField()
"""


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    """Give a project with one model, whose database has an installation already."""
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    store(url_of(tmp_path), "a")
    return tmp_path


def url_of(project: Path) -> str:
    """Return the URL of the storage in the project's database."""
    return f"sqlite:///{project}/app.db"


def manage(project: Path, *arguments: str) -> str:
    """Run a command of Django; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=project,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_our_tables_are_left_alone(project: Path) -> None:
    """Migrations, and even a flush of the database, are about Django's own tables."""
    written = manage(project, "makemigrations", "shop", "--verbosity=3")
    manage(project, "migrate", "--run-syncdb")
    manage(project, "flush", "--no-input")
    again = manage(project, "makemigrations", "--check", "--dry-run")

    assert "shop" in written
    assert "wix_" not in written
    assert "No changes detected" in again
    assert 1 == len(stored(url_of(project)))


def test_models_of_our_tables_are_not_managed(project: Path) -> None:
    """Models that `inspectdb` prints for our tables, taken as they are, harm nothing."""
    printed = manage(project, "inspectdb", "wix_claims", "wix_events", "wix_installations")
    (project / "shop" / "models.py").write_text(f"{MODELS}\n{printed}")
    manage(project, "makemigrations", "shop")
    manage(project, "migrate")
    manage(project, "migrate", "shop", "zero")

    assert 3 == printed.count("\n        managed = False\n")
    assert "db_table = 'wix_installations'" in printed
    assert 1 == len(stored(url_of(project)))
