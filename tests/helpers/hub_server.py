"""A small Hugging Face Hub on the loopback interface. It implements the HTTP API that the tested functions use."""

import base64
import hashlib
import json
import os
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_of_the_owner"


class Repository:
    """The commits of a repository, as files by name."""

    def __init__(self, private=False, gated=False):
        self.private, self.gated = private, gated
        self.commits: dict[str, dict[str, bytes]] = {}
        self.refs: dict[str, str] = {}
        self.commit({})

    def commit(self, changes, ref="main"):
        """Adds a commit on top of a branch and returns its hash."""
        files = {**self.commits.get(self.refs.get(ref), {}), **changes}
        name = hashlib.sha1(repr((sorted(files.items()), len(self.commits))).encode()).hexdigest()
        self.commits[name], self.refs[ref] = files, name
        return name

    def resolve(self, revision):
        return self.refs.get(revision, revision if revision in self.commits else None)


class HubServer:
    """State of the server. `failure` is an HTTP status for all responses, or None."""

    def __init__(self):
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.failure: int | None = None
        self.url = ""


@contextmanager
def hub_server():
    """Runs a server and yields its state."""
    state = HubServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_server(monkeypatch, url, folder):
    """Makes `huggingface_hub` use the server, an empty cache and no token.

    Environment variables would have to be set before the import.
    """
    from huggingface_hub import constants

    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the server supports Git LFS only
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))


class _Handler(BaseHTTPRequestHandler):
    state: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.handle_request()

    do_GET = do_POST = do_PUT = do_HEAD

    def handle_request(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.state.requests.append(f"{self.command} {url.path}")
        if self.state.failure:
            return self.send(self.state.failure, b"{}")
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, f"{self.command} {url.path}"):
                return getattr(self, method)(*map(unquote, match.groups()))
        return self.send(404, b"{}")

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, value):
        self.send(200, json.dumps(value).encode(), Content_Type="application/json")

    @property
    def is_owner(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def find(self, name, revision="main"):
        """Returns a repository and a commit. If they do not exist, sends the error response of the Hub."""
        repository = self.state.repositories.get(name)
        if repository is None or (repository.private and not self.is_owner):
            self.send(404 if self.is_owner else 401, b"{}", X_Error_Code="RepoNotFound")
        elif repository.gated and not self.is_owner:
            self.send(403, b"{}", X_Error_Code="GatedRepo")
        elif repository.resolve(revision) is None:
            self.send(404, b"{}", X_Error_Code="RevisionNotFound")
        else:
            return repository, repository.resolve(revision)
        return None, None

    def get_file(self, name, revision, file):
        repository, commit = self.find(name, revision)
        if repository is None:
            return
        content = repository.commits[commit].get(file)
        if content is None:
            self.send(404, b"{}", X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        else:
            self.send(200, content, ETag=f'"{hashlib.sha256(content).hexdigest()}"', X_Repo_Commit=commit)

    def get_info(self, name, revision="main"):
        repository, commit = self.find(name, revision)
        if repository is not None:
            siblings = [{"rfilename": path} for path in repository.commits[commit]]
            self.send_json({"id": name, "sha": commit, "private": repository.private, "siblings": siblings})

    def create(self):
        if not self.is_owner:
            return self.send(401, b"{}")
        wish = json.loads(self.body)
        name = f"{wish['organization']}/{wish['name']}"
        if name in self.state.repositories:
            return self.send(409, json.dumps({"url": f"{self.state.url}/{name}"}).encode())
        private = wish.get("private") or wish.get("visibility") == "private"
        self.state.repositories[name] = Repository(private=bool(private))
        return self.send_json({"url": f"{self.state.url}/{name}"})

    def validate_yaml(self):
        self.send_json({"errors": [], "warnings": []})

    def preupload(self, name, revision):
        if not self.is_owner:
            return self.send(403, b"{}")
        files = [file["path"] for file in json.loads(self.body)["files"]]
        modes = [dict(path=f, uploadMode="lfs" if f.endswith(".h5") else "regular", shouldIgnore=False) for f in files]
        return self.send_json({"files": modes})

    def lfs_batch(self, name):
        objects = json.loads(self.body)["objects"]
        for item in objects:
            item["actions"] = {"upload": {"href": f"{self.state.url}/upload/{item['oid']}", "header": {}}}
        self.send_json({"transfer": "basic", "objects": objects})

    def put_upload(self, oid):
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.state.uploads[oid] = self.body
        self.send(200)

    def commit(self, name, revision):
        if not self.is_owner:
            return self.send(403, b"{}")
        changes = {}
        for line in self.body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                changes[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            elif item["key"] == "lfsFile":
                changes[item["value"]["path"]] = self.state.uploads[item["value"]["oid"]]
        commit = self.state.repositories[name].commit(changes, revision)
        return self.send_json({"commitUrl": f"{self.state.url}/{name}/commit/{commit}", "commitOid": commit})


ROUTES = [
    (r"(?:HEAD|GET) /([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "get_file"),
    (r"GET /api/models/([^/]+/[^/]+)/revision/([^/]+)", "get_info"),
    (r"GET /api/models/([^/]+/[^/]+)", "get_info"),
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "validate_yaml"),
    (r"POST /api/models/([^/]+/[^/]+)/preupload/([^/]+)", "preupload"),
    (r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
    (r"PUT /upload/(\w+)", "put_upload"),
    (r"POST /api/models/([^/]+/[^/]+)/commit/([^/]+)", "commit"),
]
