"""What pyproject.toml files ask for, and whether it is well formed."""

import json
import posixpath
import tomllib

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from failed import Failed


def projects_of(tables):
    """The pyproject.toml files by their path."""
    return {path: content for path, content in tables.items() if posixpath.basename(path) == "pyproject.toml"}


def scopes_of(content):
    """The requirements of a project as they are written, by what asks for them: itself, an extra or a group."""
    project = content.get("project", {})
    found = {"": project.get("dependencies", [])}
    for extra, texts in project.get("optional-dependencies", {}).items():
        found["extra " + canonicalize_name(extra)] = texts
    groups = {canonicalize_name(name): texts for name, texts in content.get("dependency-groups", {}).items()}
    for group in groups:
        found["group " + group] = members(groups, group, ())
    # What uv had before there were groups.
    if older := content.get("tool", {}).get("uv", {}).get("dev-dependencies"):
        found["group dev"] = [*found.get("group dev", []), *older]
    return found


def members(groups, name, within):
    """A group's requirements, those of the groups that it includes among them."""
    if name in within:
        return []
    found = []
    for one in groups.get(name, []):
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict) and isinstance(one.get("include-group"), str):
            found += members(groups, canonicalize_name(one["include-group"]), (*within, name))
    return found


def check_requirements(tables):
    """uv takes a project whose requirements it can't read for one that only its build backend knows."""
    for path, content in projects_of(tables).items():
        for texts in scopes_of(content).values():
            for text in texts:
                try:
                    Requirement(text)
                except InvalidRequirement as error:
                    raise Failed("requirement", f"{path} asks for {text!r}: {error}", text) from error


def with_project(text, project):
    """A lock that installs the project too, from its folder."""
    if project is None or canonicalize_name(project["name"]) in packages_of(text):
        return text
    entry = f"name = {json.dumps(project['name'])}\ndirectory = {{ path = {json.dumps(project['folder'])}, editable = true }}\n"
    return text.replace("\npackages = []\n", "\n", 1).rstrip("\n") + f"\n\n[[packages]]\n{entry}"


def packages_of(text):
    return {canonicalize_name(package["name"]) for package in tomllib.loads(text).get("packages", [])}
