"""A stand-in for httpx, which cannot be installed where tests run: real requests by the standard library."""

from __future__ import annotations

import asyncio
import json as json_module
import urllib.error
import urllib.request
from typing import Any


class Timeout:
    def __init__(self, timeout: float | None, *, connect: float) -> None:
        self.connect = connect


class Response:
    def __init__(self, status_code: int, text: str) -> None:
        self.status_code = status_code
        self.text = text
        self.is_error = status_code >= 400

    def json(self) -> Any:
        return json_module.loads(self.text)


class AsyncClient:
    def __init__(self, *, base_url: str, headers: dict[str, str], timeout: Timeout) -> None:
        self.base_url = base_url.rstrip("/")
        self.headers = headers

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def post(self, path: str, *, json: Any) -> Response:
        request = urllib.request.Request(
            f"{self.base_url}/{path}",
            data=json_module.dumps(json).encode(),
            headers={**self.headers, "Content-Type": "application/json"},
        )
        return await asyncio.to_thread(self._send, request)

    @staticmethod
    def _send(request: urllib.request.Request) -> Response:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Response(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Response(error.code, error.read().decode())
