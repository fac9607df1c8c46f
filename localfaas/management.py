"""/system/*: what faas-cli, Alertmanager and the operator talk to.   Source: contract sections 4 and 5."""

import base64
import binascii
import platform
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from localfaas import VERSION, alerts, answers
from localfaas.answers import Answer
from localfaas.deployments import Deployments, Spec
from localfaas.functionlogs import LogLine
from localfaas.metrics import Metrics
from localfaas.options import NAMESPACE, Edition
from localfaas.secretfiles import NAME as SECRET_NAME
from localfaas.secretfiles import SecretFiles

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_OTHER_NAMESPACE = f"namespace must be: {NAMESPACE}"


class RefusedError(Exception):
    """A request is answered with this instead of being done."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


class _Deployment(msgspec.Struct, rename="camel"):
    """FunctionDeployment as it comes in; null and absent are alike, as in Go."""

    service: str = ""
    image: str = ""
    namespace: str | None = None
    env_process: str | None = None
    env_vars: dict[str, str] | None = None
    constraints: list[str] | None = None
    secrets: list[str] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    limits: dict[str, str] | None = None
    requests: dict[str, str] | None = None
    read_only_root_filesystem: bool = False


class _Delete(msgspec.Struct, rename="camel"):
    function_name: str = ""


class _Scale(msgspec.Struct, rename="camel"):
    service_name: str = ""
    replicas: int = 0


class _Secret(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str | None = None
    value: str = ""
    raw_value: str | None = None


def validate(spec: Spec, edition: Edition) -> None:
    """Refuse a specification the provider refuses.   Raises: ValueError with its text."""
    if not spec.service:
        raise ValueError("service: is required")
    if not _DNS_LABEL.fullmatch(spec.service) or len(spec.service) > 63:
        raise ValueError(f"service: ({spec.service}) is invalid, must be a valid DNS entry")
    if not spec.image:
        raise ValueError("image: is required")
    if edition.refuses_pro_labels:
        _refuse_pro_labels(spec.labels, edition)
    for name, value in spec.annotations.items():
        if name == "topic" and "," in value:
            raise ValueError("the topic annotation may only support one value in the Community Edition")
        if "amazonaws.com" in name or "gke.io" in name:
            raise ValueError(f"annotation {name} is not available in the Community Edition")


def _refuse_pro_labels(labels: Mapping[str, str], edition: Edition) -> None:
    if labels.get("com.openfaas.scale.zero") == "true":
        raise ValueError("com.openfaas.scale.zero not available for Community Edition")
    for name in ("com.openfaas.scale.zero-duration", "com.openfaas.scale.target", "com.openfaas.scale.type"):
        if name in labels:
            raise ValueError(f"{name} not available for Community Edition")
    for name in ("com.openfaas.scale.max", "com.openfaas.scale.min"):
        try:
            too_high = int(labels.get(name, "0")) > edition.max_replicas
        except ValueError:
            too_high = False
        if too_high:
            raise ValueError(f"{name} is set too high for Community Edition")


@dataclass(frozen=True, slots=True)
class LogRequest:
    """Query of /system/logs. tail None: all lines that are kept."""

    name: str
    tail: int | None
    since: datetime | None
    follow: bool


class Management:
    """The provider's API, and the gateway's alert route, over the deployed functions."""

    def __init__(self, edition: Edition, deployments: Deployments, secret_files: SecretFiles, metrics: Metrics) -> None:
        self._edition = edition
        self._deployments = deployments
        self._secrets = secret_files
        self._metrics = metrics

    def list_functions(self, query: Mapping[str, str]) -> Answer:
        """GET /system/functions."""
        if query.get("namespace", NAMESPACE) not in ("", NAMESPACE):
            return answers.error(400, _OTHER_NAMESPACE + "\n")
        return answers.json(200, [self._status(name) for name in sorted(self._deployments.by_name)])

    def function(self, name: str, query: Mapping[str, str]) -> Answer:
        """GET /system/function/{name}."""
        if query.get("namespace", NAMESPACE) not in ("", NAMESPACE):
            return answers.error(400, _OTHER_NAMESPACE)
        if name not in self._deployments.by_name:
            return answers.empty(404)
        return answers.json(200, self._status(name))

    def deploy(self, body: bytes) -> Answer:
        """POST /system/functions."""
        try:
            spec = self._spec(body)
        except RefusedError as e:
            return e.answer
        most = self._edition.max_functions
        if spec.service in self._deployments.by_name:
            return answers.error(500, f'unable create Deployment: deployments.apps "{spec.service}" already exists')
        if most is not None and len(self._deployments.by_name) >= most:
            return answers.error(
                400,
                f"unable to create function, maximum: {most}, "
                "visit https://openfaas.com/pricing to upgrade to OpenFaaS Standard",
            )
        self._deployments.create(spec)
        return answers.empty(202)

    def update(self, body: bytes) -> Answer:
        """PUT /system/functions. DEVIATES: a refused update is a 400; the provider answers 200 and does nothing."""
        try:
            name = msgspec.json.decode(body, type=_Deployment).service
        except msgspec.DecodeError as e:
            return answers.error(400, f"failed to unmarshal request: {e}")
        if name and name not in self._deployments.by_name:
            return answers.error(
                404, f'unable update Deployment: {name}.{NAMESPACE}, error: deployments.apps "{name}" not found'
            )
        try:
            self._deployments.update(self._spec(body), uid=str(uuid.uuid4().int % 10**9))
        except RefusedError as e:
            return e.answer
        return answers.empty(202)

    def delete(self, body: bytes, query: Mapping[str, str]) -> Answer:
        """DELETE /system/functions."""
        namespace = query.get("namespace", "") or NAMESPACE
        if namespace == "kube-system":
            return answers.empty(401)
        if namespace != NAMESPACE:
            return answers.error(400, _OTHER_NAMESPACE)
        try:
            name = msgspec.json.decode(body, type=_Delete).function_name
        except msgspec.DecodeError:
            name = ""
        if not name:
            return answers.empty(400)
        if name not in self._deployments.by_name:
            return answers.written(404, f'deployments.apps "{name}" not found')
        self._deployments.delete(name)
        return answers.empty(202)

    def scale(self, name: str, body: bytes) -> Answer:
        """POST /system/scale-function/{name}."""
        try:
            replicas = msgspec.json.decode(body, type=_Scale).replicas
        except msgspec.DecodeError:
            replicas = -1
        if replicas < 0:  # unsigned in Go
            return answers.error(400, "Error unmarshalling request body")
        deployment = self._deployments.by_name.get(name)
        if deployment is None:
            return answers.written(500, f"Unable to lookup function deployment {name}")
        deployment.replicas.scale(self._deployments.clamp(replicas))
        return answers.empty(202)

    def alert(self, body: bytes) -> Answer:
        """POST /system/alert."""
        try:
            alerts.handle(msgspec.json.decode(body), self._deployments, self._edition)
        except ValueError:
            return answers.written(400, "Unable to parse alert, bad format.")
        return answers.empty(200)

    def info(self) -> Answer:
        """GET /system/info."""
        version = {"commit_message": "", "sha": "", "release": VERSION}
        provider = {
            "provider": "faas-netes-ce",
            "version": {"sha": "", "release": VERSION},
            "orchestration": "kubernetes",
        }
        return answers.json(200, {"provider": provider, "version": version, "arch": platform.machine()})

    def namespaces(self) -> Answer:
        """GET /system/namespaces."""
        return answers.json(200, [NAMESPACE])

    def namespace(self, method: str) -> Answer:
        """Answer /system/namespace/{ns}, which the community edition does not have."""
        if method == "GET":
            return answers.error(501, "Feature not implemented in this version of OpenFaaS")
        return answers.empty(405)

    def list_secrets(self, query: Mapping[str, str]) -> Answer:
        """GET /system/secrets: names, never values."""
        if query.get("namespace", NAMESPACE) not in ("", NAMESPACE):
            return answers.empty(400)
        return answers.json(200, [{"name": name, "namespace": NAMESPACE} for name in self._secrets.names()])

    def change_secret(self, method: str, body: bytes) -> Answer:
        """POST, PUT, DELETE /system/secrets: 202, else Kubernetes' reason as a bare status."""
        try:
            secret = msgspec.json.decode(body, type=_Secret)
            value = base64.b64decode(secret.raw_value, validate=True) if secret.raw_value else secret.value.encode()
        except (msgspec.DecodeError, binascii.Error):
            return answers.empty(400)
        if (secret.namespace or NAMESPACE) != NAMESPACE:
            return answers.empty(400)
        if not SECRET_NAME.fullmatch(secret.name):
            return answers.empty(422)
        exists = secret.name in self._secrets.names()
        if exists != (method != "POST"):
            return answers.empty(409 if exists else 404)
        if method == "DELETE":
            self._secrets.delete(secret.name)
        else:
            self._secrets.put(secret.name, value)
        return answers.empty(202)

    def log_request(self, query: Mapping[str, str]) -> LogRequest:
        """Read the query of /system/logs.   Raises: RefusedError."""
        name = query.get("name", "")
        if self._deployments.log(name) is None:
            raise RefusedError(answers.empty(501))  # the provider's 404 comes out of the gateway as this
        try:
            tail = int(query["tail"]) if query.get("tail") else None
            since = datetime.fromisoformat(query["since"]) if query.get("since") else None
        except ValueError:
            raise RefusedError(answers.error(500, "unknown log request error (400)")) from None
        if since is not None and since.tzinfo is None:
            since = since.astimezone()
        # A negative tail means all, as -1 does in faas-cli.
        return LogRequest(name, None if tail is None or tail < 0 else tail, since, query.get("follow") in ("true", "1"))

    async def log_lines(self, request: LogRequest) -> AsyncIterator[bytes]:
        """Give the lines as NDJSON; without end if the request follows."""
        log = self._deployments.log(request.name)
        if log is None:
            return

        def encode(line: LogLine) -> bytes:
            return (
                msgspec.json.encode(
                    {
                        "name": request.name,
                        "namespace": NAMESPACE,
                        "instance": line.instance,
                        "timestamp": line.timestamp,
                        "text": line.text,
                    }
                )
                + b"\n"
            )

        for line in log.read(request.tail, request.since):
            yield encode(line)
        if request.follow:
            async for line in log.follow():
                yield encode(line)

    def desired(self) -> dict[str, int]:
        """Give the replicas wanted, by the name metrics use."""
        return {f"{name}.{NAMESPACE}": d.replicas.desired for name, d in self._deployments.by_name.items()}

    def _status(self, name: str) -> dict[str, Any]:
        return self._deployments.by_name[name].status(self._metrics.invocations(f"{name}.{NAMESPACE}"))

    def _spec(self, body: bytes) -> Spec:
        """Check a FunctionDeployment in the provider's order.   Raises: RefusedError."""
        try:
            raw = msgspec.json.decode(body, type=_Deployment)
        except msgspec.DecodeError as e:
            raise RefusedError(answers.error(400, f"failed to unmarshal request: {e}")) from e
        spec = Spec(
            service=raw.service,
            image=raw.image,
            env_process=raw.env_process or "",
            env_vars=raw.env_vars or {},
            constraints=tuple(raw.constraints or ()),
            secrets=tuple(raw.secrets or ()),
            labels=raw.labels or {},
            annotations=raw.annotations or {},
            limits=raw.limits,
            requests=raw.requests,
            read_only_root_filesystem=raw.read_only_root_filesystem,
        )
        try:
            validate(spec, self._edition)
        except ValueError as e:
            raise RefusedError(answers.error(400, f"validation failed: {e}")) from e
        if (raw.namespace or NAMESPACE) != NAMESPACE:
            raise RefusedError(answers.error(400, _OTHER_NAMESPACE))
        if missing := self._secrets.missing(spec.secrets):
            raise RefusedError(answers.error(400, f'unable to fetch secrets: secrets "{missing[0]}" not found'))
        if spec.image not in self._deployments.images():
            # DEVIATES: there is no registry; an image is known when a function of the stack file has it.
            known = ", ".join(self._deployments.images())
            raise RefusedError(
                answers.error(400, f"image {spec.image} is not in localfaas's stack file, which has: {known}")
            )
        return spec
