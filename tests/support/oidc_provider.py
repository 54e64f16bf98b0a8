"""An OpenID Connect provider for tests (Core 1.0): discovery, authorization code with PKCE, signed tokens.

Every visitor is signed in at once as the account that `email` names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT = {"id": "curation-app", "secret": "not-a-secret"}


class Provider:
    """A running provider: its address `url`, the account `email`, and the number of `tokens` issued."""

    def __init__(self, email: str) -> None:
        self.email, self.tokens = email, 0
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self._asked: dict[str, dict[str, str]] = {}  # code → what was asked for with it
        self.server = ThreadingHTTPServer(("localhost", 0), self._handler())
        self.url = f"http://localhost:{self.server.server_port}"

    def metadata(self) -> dict[str, Any]:
        """Return the discovery document."""
        paths = {"authorization": "authorize", "token": "token"}
        return {
            "issuer": self.url,
            **{f"{name}_endpoint": f"{self.url}/{path}" for name, path in paths.items()},
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Return the address that the browser is sent back to, with a code."""
        assert (asked["client_id"], asked["response_type"]) == (CLIENT["id"], "code")
        code = secrets.token_urlsafe(16)
        self._asked[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, given: dict[str, str]) -> dict[str, Any]:
        """Return an identity token for a code, which can be used once."""
        asked = self._asked.pop(given["code"])
        assert given["redirect_uri"] == asked["redirect_uri"]
        if "code_challenge" in asked:
            digest = hashlib.sha256(given["code_verifier"].encode()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        now = int(time.time())
        about = {"iss": self.url, "aud": CLIENT["id"], "sub": "42", "iat": now, "exp": now + 600, "email": self.email}
        if "nonce" in asked:
            about["nonce"] = asked["nonce"]
        self.tokens += 1
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, about, self.key)
        return {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": 600,
            "id_token": signed,
        }

    def _handler(provider) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlparse(self.path)
                asked = {name: values[0] for name, values in parse_qs(url.query).items()}
                if url.path == "/.well-known/openid-configuration":
                    self._answer(provider.metadata())
                elif url.path == "/jwks":
                    self._answer(KeySet([provider.key]).as_dict(private=False))
                elif url.path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(asked))
                    self.end_headers()
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(provider.token({name: values[0] for name, values in parse_qs(body).items()}))

            def _answer(self, values: dict[str, Any]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(values).encode())

            def log_message(self, *words: Any) -> None:
                pass

        return Handler


@contextmanager
def providing(email: str) -> Iterator[Provider]:
    """Run a provider on a free port."""
    provider = Provider(email)
    threading.Thread(target=provider.server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
