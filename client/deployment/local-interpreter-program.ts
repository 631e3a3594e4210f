/**
 * What a local Python says of itself, as a Python program (standard library, 3.8 and later): its `sys.path`, and what is
 * installed. It is text, as a bundle has no files beside it. It prints one line behind a marker: whatever the
 * interpreter's own customisations print comes before it.
 */
export const MARKER = 'meadow-local-interpreter:'

export const PROGRAM = String.raw`
import os, sys
SYS_PATH = list(sys.path)
# Modules of the project may have names of the standard library; what is needed here is the latter's.
STANDARD = os.path.dirname(os.__file__)
sys.path.sort(key=lambda path: not (path + os.sep).startswith(STANDARD + os.sep))
import ast, configparser, json, re, site, sysconfig
from importlib import metadata

def real(path):
    return os.path.realpath(path or os.getcwd())

def own_folders():
    found = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += getattr(site, "getsitepackages", list)()
    if hasattr(site, "getusersitepackages"):
        found.append(site.getusersitepackages())
    found.append(os.path.dirname(os.__file__))
    return {real(folder) for folder in found if folder}

OWN = own_folders()

def in_archive(path):
    """Whether Python imports from inside of a file: nothing on the disk has this name."""
    while path and not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return os.path.isfile(path)

def is_own(path):
    if os.path.basename(path) in ("site-packages", "dist-packages") or re.match(r"python3\d*\.zip$", os.path.basename(path)):
        return True
    if not os.path.isdir(path) and not path.endswith(".egg"):
        return False
    return any(path == folder or path.startswith(folder + os.sep) for folder in OWN)

def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()

def mapping_of(dist, site_folder):
    """Packages that an import hook finds, as setuptools makes it for some editable installs: name -> path."""
    for file in dist.files or []:
        if re.match(r"__editable___.*_finder\.py$", str(file)):
            with open(os.path.join(site_folder, str(file)), encoding="utf-8") as source:
                tree = ast.parse(source.read())
            for node in tree.body:
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                if any(getattr(target, "id", None) == "MAPPING" for target in targets):
                    return ast.literal_eval(node.value)
    return None

def hook_of(dist, site_folder):
    """What an editable install has Python run at its start: an import hook, where it is no folder."""
    for file in dist.files or []:
        if str(file).endswith(".pth"):
            with open(os.path.join(site_folder, str(file)), encoding="utf-8") as source:
                hooks = [line.strip() for line in source if line.startswith("import ")]
            if hooks:
                return hooks[0][:100]
    return None

def files_of(dist, editable):
    """What an install left in its site-packages; of an editable one what says that it is there."""
    for file in dist.files or []:
        path = str(file).replace(os.sep, "/")
        if path.startswith("..") or os.path.isabs(path) or "__pycache__/" in path or path.endswith(".pth"):
            continue
        if editable and ".dist-info/" not in path:
            continue
        yield path

def installer_of(dist):
    return (dist.read_text("INSTALLER") or "").strip()

def package(dist, site_folder):
    about = {"name": dist.metadata["Name"], "version": dist.version, "site": site_folder, "installer": installer_of(dist)}
    direct = dist.read_text("direct_url.json")
    if not direct:
        return about
    direct = json.loads(direct)
    about["url"] = direct["url"]
    about["subdirectory"] = direct.get("subdirectory")
    vcs = direct.get("vcs_info")
    if vcs:
        about["vcs"], about["commit"] = vcs["vcs"], vcs["commit_id"]
    archive = direct.get("archive_info") or {}
    hashes = archive.get("hashes") or {}
    about["sha256"] = hashes.get("sha256") or dict([archive.get("hash", "=").split("=", 1)]).get("sha256")
    about["editable"] = bool((direct.get("dir_info") or {}).get("editable"))
    if direct["url"].startswith("file:"):
        about["files"] = list(files_of(dist, about["editable"]))
    if about["editable"]:
        about["mapping"] = mapping_of(dist, site_folder)
        about["hook"] = None if about["mapping"] is not None else hook_of(dist, site_folder)
    return about

def is_leftover(dist):
    """Of an install or removal that broke off: pip renames what it is about to delete."""
    return os.path.basename(str(getattr(dist, "_path", ""))).startswith("~")

def known(dist, name, site_folder):
    """What is known of a package: no version where what its installer noted is damaged, in whatever way."""
    try:
        about = package(dist, site_folder)
        if all(isinstance(about.get(key, ""), str) for key in ("version", "url", "vcs", "commit")):
            return about
    except Exception:
        pass
    return {"name": name, "version": "", "site": site_folder, "installer": installer_of(dist)}

def packages(folders):
    found, damaged, wanted = {}, {}, {}
    for folder in folders:
        dists = list(metadata.distributions(path=[folder]))
        if folder.endswith(".egg") and not dists:
            name = os.path.basename(folder)
            damaged[normal(name)] = {"name": name, "version": "", "site": os.path.dirname(folder), "installer": ""}
        for dist in dists:
            name = dist.metadata.get("Name")
            if not name or normal(name) in found or is_leftover(dist):
                continue
            about = known(dist, name, folder)
            if not about["version"]:
                damaged[normal(name)] = about
                continue
            found[normal(name)] = about
            for requirement in dist.requires or []:
                match = re.match(r"\s*([A-Za-z0-9._-]+)[^;]*(?:;(.*))?$", requirement)
                marker = (match.group(2) or "").strip() if match else ""
                if match and "extra" not in marker:
                    wanted.setdefault(normal(match.group(1)), []).append(marker)
    for name, markers in wanted.items():
        # Wanted on some platforms only, by all that want it.
        if name in found and all(re.search(r"sys_platform|platform_system|os_name", marker) for marker in markers):
            found[name]["markers"] = sorted(set(markers))
    found = dict(damaged, **found)
    return [found[name] for name in sorted(found)]

def pip_settings():
    """The files of pip's configuration, later ones count more. "pip config list" would take half a second."""
    env, end = os.environ, os.path.join("pip", "pip.ini" if os.name == "nt" else "pip.conf")
    if os.name == "nt":
        folders = [env.get("ProgramData", ""), os.path.expanduser("~"), env.get("APPDATA", "")]
    else:
        folders = env.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)
        folders += ["/Library/Application Support", os.path.expanduser("~/Library/Application Support")]
        folders.append(env.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))
    files = [os.path.join(folder, end) for folder in folders]
    files[-1:-1] = ["/etc/pip.conf", os.path.expanduser("~/.pip/pip.conf")]
    files += [os.path.join(sys.prefix, os.path.basename(end)), env.get("PIP_CONFIG_FILE", "")]
    settings = configparser.RawConfigParser()
    if env.get("PIP_CONFIG_FILE") != os.devnull:
        settings.read(files, encoding="utf-8")
    return settings

def indexes():
    """URLs of package indexes in the settings of pip and uv."""
    env, settings = os.environ, pip_settings()
    def pip(name):
        given = env.get("PIP_" + name.replace("-", "_").upper())
        return (given or settings.get("install", name, fallback=settings.get("global", name, fallback=""))).split()
    def uv(*names):
        return [re.sub(r"^[\w.-]+=", "", url) for name in names for url in env.get(name, "").split()]
    main = pip("index-url") + uv("UV_DEFAULT_INDEX", "UV_INDEX_URL")
    extra = uv("UV_INDEX", "UV_EXTRA_INDEX_URL") + pip("extra-index-url") + main[1:]
    return {"main": main[0] if main else None, "extra": [url for url in dict.fromkeys(extra) if url not in main[:1]]}

sys_path = [real(path) for path in SYS_PATH if not path or os.path.exists(path) or in_archive(path)]
first = sys_path[: sys_path.index(real(STANDARD))] if real(STANDARD) in sys_path else sys_path
own = [path for path in sys_path if is_own(path)]
print()
print("${MARKER}" + json.dumps({
    "executable": sys.executable,
    "version": "%d.%d" % sys.version_info[:2],
    "platform": sys.platform,
    "prefix": sys.prefix,
    "virtual": sys.prefix != getattr(sys, "base_prefix", sys.prefix),
    "sysPath": [{"path": path, "behind": path not in first} for path in dict.fromkeys(sys_path) if not is_own(path)],
    "indexes": indexes(),
    "packages": packages([path for path in dict.fromkeys(own) if os.path.isdir(path) or path.endswith(".egg")]),
}))
`
