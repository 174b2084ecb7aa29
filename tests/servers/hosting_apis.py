"""Stand-ins for the services of docs/stores/http/: each answers as the vendor's public API pages say.

Each page names them. Where they say nothing, a stand-in refuses, so that a recipe can't rely on it. Errors quote the
request, as careless services do.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from tests.servers.asgi_server import serve

WRITER, READER, STRANGER = "token-that-writes", "token-that-reads", "token-of-nobody"
NEIGHBOUR = "postgres://of-somebody-else"


class HostingApi(ABC):
    """A service with the recipe's place in it, a neighbour, and a token that writes and one that reads.

    :ivar page: its recipe, below docs/stores/http.
    :ivar current: the name of the place that the recipe writes.
    :ivar previous: the name of the place of the previous secret; None where the recipe keeps none.
    :ivar makes: whether the recipe's write makes what is missing.
    """

    page: str
    current = "FEATUREBASE_WEBHOOK_SECRET"
    previous: str | None = None
    makes = False
    no_token, no_right, limited = 401, 403, 429

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.writes = 0
        self.busy = False
        self.reset()
        self.app = FastAPI(openapi_url=None)
        self.app.middleware("http")(self._answer)
        self.routes()
        self.url = serve(self.app)

    def reset(self) -> None:
        """Only the neighbour is left."""
        self.values, self.writes, self.busy = {"DATABASE_URL": NEIGHBOUR}, 0, False

    @abstractmethod
    def routes(self) -> None:
        """Add the API's routes."""

    @abstractmethod
    def refusal(self, status: int, said: str) -> JSONResponse:
        """An error as this service words it."""

    async def _answer(self, request: Request, call_next: Any) -> Any:
        given = request.headers.get("PRIVATE-TOKEN") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        quoted = (await request.body()).decode()
        if given not in {WRITER, READER}:
            return self.refusal(self.no_token, f"invalid token {given} {quoted}")
        if self.busy:
            answer = self.refusal(self.limited, "too many requests")
            answer.headers.update({"Retry-After": "30", "RateLimit-Remaining": "0"})
            return answer
        if request.method != "GET" and given != WRITER:
            return self.refusal(self.no_right, f"not allowed {quoted}")
        answer = await call_next(request)
        return self.refusal(404, "no such resource") if answer.status_code in {404, 405} else answer

    def missing(self) -> JSONResponse:
        return self.refusal(404, "could not find it")

    def put(self, name: str, value: str) -> None:
        self.values[name] = value
        self.writes += 1


class Doppler(HostingApi):
    page, previous = "doppler.md", "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS"

    def refusal(self, status: int, said: str) -> JSONResponse:
        return JSONResponse({"messages": [said], "success": False}, status)

    def routes(self) -> None:
        @self.app.get("/v3/configs/config/secrets")
        def read(project: str, config: str, secrets: str) -> Any:
            if (project, config) != ("feedback", "prd"):
                return self.missing()
            found = {name: self.values[name] for name in secrets.split(",") if name in self.values}
            return {"secrets": {name: {"raw": text, "computed": text, "note": ""} for name, text in found.items()}}

        @self.app.post("/v3/configs/config/secrets")
        async def update(request: Request) -> Any:
            body = await request.json()
            changes = body["change_requests"]
            known = all(change["originalName"] == change["name"] in self.values for change in changes)
            if (body["project"], body["config"]) != ("feedback", "prd") or not known:
                return self.refusal(400, f"not understood: {body}")
            for change in changes:
                matches = change.get("originalValue") in {None, self.values[change["name"]]}
                if matches and change["value"] is not None:
                    self.put(change["name"], change["value"])
            return {"secrets": {}}


class Vercel(HostingApi):
    page, no_token = "vercel.md", 403
    ids = {"XMbOEya1gUUO1ir4": HostingApi.current, "bBBBBBBBBBBBBBBB": "DATABASE_URL"}

    def refusal(self, status: int, said: str) -> JSONResponse:
        codes = {403: "forbidden", 404: "not_found", 429: "rate_limited"}
        return JSONResponse({"error": {"code": codes.get(status, "bad_request"), "message": said}}, status)

    def _name(self, project: str, id: str, team: str) -> str | None:
        name = self.ids.get(id) if (project, team) == ("prj_feedback", "team_acme") else None
        return name if name in self.values else None

    def routes(self) -> None:
        @self.app.get("/v1/projects/{project}/env/{id}")
        def read(project: str, id: str, teamId: str = "") -> Any:
            if not (name := self._name(project, id, teamId)):
                return self.missing()
            kind = "sensitive" if self.values[name] == "" else "encrypted"
            shown = {} if kind == "sensitive" else {"value": self.values[name]}
            return {
                "id": id,
                "key": name,
                "type": kind,
                "decrypted": kind == "encrypted",
                "target": ["production"],
                **shown,
            }

        @self.app.patch("/v9/projects/{project}/env/{id}")
        async def edit(request: Request, project: str, id: str, teamId: str = "") -> Any:
            if not (name := self._name(project, id, teamId)):
                return self.missing()
            self.put(name, (await request.json())["value"])
            return {"id": id, "key": name, "type": "encrypted", "value": "eyJ2IjoidjIi", "target": ["production"]}


class Gitlab(HostingApi):
    page = "gitlab.md"
    hidden = False

    def refusal(self, status: int, said: str) -> JSONResponse:
        return JSONResponse({"message": f"{status} {said}"}, status)

    def routes(self) -> None:
        @self.app.api_route("/api/v4/projects/{project}/variables/{key}", methods=["GET", "PUT"])
        async def variable(request: Request, project: str, key: str) -> Any:
            scope = request.query_params.get("filter[environment_scope]")
            if scope is None:
                return self.refusal(409, "There are multiple variables with provided parameters.")
            if (project, scope) != ("1234", "production") or key not in self.values:
                return self.missing()
            if request.method == "PUT":
                self.put(key, (await request.json())["value"])
            value = None if self.hidden else self.values[key]
            return {"key": key, "value": value, "masked": True, "hidden": self.hidden, "environment_scope": scope}


class CloudflareWorkers(HostingApi):
    page, makes = "cloudflare-workers.md", True
    path = "/client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/workers/scripts/feedback/secrets"

    def refusal(self, status: int, said: str) -> JSONResponse:
        errors = [{"code": 10000 if status in {401, 403} else 10007, "message": said}]
        return JSONResponse({"success": False, "errors": errors, "messages": [], "result": None}, status)

    def routes(self) -> None:
        def success(name: str) -> Any:
            return {"success": True, "errors": [], "messages": [], "result": {"name": name, "type": "secret_text"}}

        @self.app.get(self.path + "/{name}")
        def read(name: str) -> Any:
            return success(name) if name in self.values else self.missing()

        @self.app.put(self.path)
        async def add(request: Request) -> Any:
            body = await request.json()
            if set(body) != {"name", "text", "type"} or body["type"] != "secret_text":
                return self.refusal(400, f"not understood: {body}")
            self.put(body["name"], body["text"])
            return success(body["name"])


class Heroku(HostingApi):
    page, previous, makes = "heroku.md", "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS", True

    def refusal(self, status: int, said: str) -> JSONResponse:
        ids = {401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "rate_limit"}
        return JSONResponse({"id": ids.get(status, "bad_request"), "message": said}, status)

    def routes(self) -> None:
        @self.app.api_route("/apps/{app}/config-vars", methods=["GET", "PATCH"])
        async def config_vars(request: Request, app: str) -> Any:
            if request.headers.get("Accept") != "application/vnd.heroku+json; version=3":
                return self.refusal(404, "no version in the Accept header")
            if app != "acme-feedback":
                return self.missing()
            if request.method == "PATCH":
                for name, value in (await request.json()).items():
                    if value is None:
                        self.values.pop(name, None)
                    else:
                        self.put(name, value)
            return self.values


class OnePasswordConnect(HostingApi):
    page, current, previous = "1password-connect.md", "tqd4yzxkqk7zv5b6h3dmmxfzcu", "n5rqxyugqvqhfnbdxvewm6gzcq"
    makes = True

    def refusal(self, status: int, said: str) -> JSONResponse:
        return JSONResponse({"status": status, "message": said}, status)

    def _item(self) -> Any:
        """A field without a value has none in the answer."""
        fields = [
            {"id": id, "type": "CONCEALED", "label": id} | ({"value": text} if (text := self.values.get(id)) else {})
            for id in sorted({*self.values, self.current, str(self.previous)})
        ]
        return {"id": "2fcbqwe9ndg175zg2dzwftvkpa", "version": self.writes, "fields": fields}

    def routes(self) -> None:
        path = "/v1/vaults/ftz4pm2xxwmwrsd7rjqn7grzfz/items/2fcbqwe9ndg175zg2dzwftvkpa"

        @self.app.get(path)
        def read() -> Any:
            return self._item()

        @self.app.patch(path)
        async def patch(request: Request) -> Any:
            operations = json.loads(await request.body())
            for one in operations:
                _, fields, id, value = one["path"].split("/")
                if (one["op"], fields, value) != ("add", "fields", "value"):
                    return self.refusal(400, f"not understood: {one}")
                self.put(id, one["value"])
            return self._item()


HOSTING_APIS = (Doppler, Vercel, Gitlab, CloudflareWorkers, Heroku, OnePasswordConnect)
