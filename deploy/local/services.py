"""The table of the stack's own programs: the sandbox and the seven services, each with its environment.

To add a service: a port in `layout.PORT_OFFSETS`, a line here. Whatever the table does not set is
inherited from the shell, so `LOG_LEVEL=debug make up` does what it says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

from deploy.local import probes
from deploy.local.layout import ROOT, Layout
from deploy.local.programs import Program

SERVICES: Final = (
    "main-api",
    "sms-worker",
    "dlr-webhook",
    "dlr-processor",
    "phone-validator",
    "content-worker",
    "webhook-delivery",
)

AGGREGATORS: Final = ("celcom", "africastalking")
CELCOM_PARTNER_ID: Final = "36"
AFRICASTALKING_USERNAME: Final = "semalink"
DARAJA_SHORT_CODE: Final = "600986"


PROXIED: Final = ("postgres", "redis", "rabbitmq")
PROXIES: Final = "proxies"


def programs(layout: Layout, secrets: Mapping[str, str]) -> list[Program]:
    """What a stack of this environment runs."""
    return [p for p in every(layout, secrets) if p.name != PROXIES or proxied()]


def every(layout: Layout, secrets: Mapping[str, str]) -> list[Program]:
    """All there are, also what only stacks with proxies run."""
    own = [_sandbox(layout, secrets), *(_service(layout, secrets, name) for name in SERVICES)]
    return [_proxies(layout), *own]


def proxied() -> bool:
    """Whether the services of this stack reach the stores through proxies that can be told to fail."""
    return os.environ.get("SEMA_STORE_PROXIES") == "1"


def environment(layout: Layout, secrets: Mapping[str, str], name: str) -> dict[str, str]:
    """The service's whole environment, for the supervisor and for the operators' CLI."""
    return inherited() | _common(layout, name) | _own(layout, secrets)[name]


def _own(layout: Layout, secrets: Mapping[str, str]) -> dict[str, dict[str, str]]:
    def postgres(role: str) -> dict[str, str]:
        return {"DATABASE_URL": layout.dsn(role)}

    def http(name: str) -> dict[str, str]:
        return {"HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(layout.port(name))}

    ucs2 = {"CELCOM_UCS2": "true"}  # the sandbox carries it; a real account has to be proven first
    # Where the second aggregator reaches: for the room that accepts and the one that submits.
    countries = {"AFRICASTALKING_COUNTRIES": "KE,UG,TZ,RW"}
    amqp = {"AMQP_URL": layout.amqp(secrets["AMQP_PASSWORD"])}
    redis = {"REDIS_URL": layout.redis()}
    dlr_tokens = ",".join(f"{aggregator}:{secrets['DLR_TOKEN']}" for aggregator in AGGREGATORS)
    # The room that takes a webhook's address and the one that dials it: here it may be this machine's.
    webhooks = {"WEBHOOKS_ALLOW_LOOPBACK": "true", "SECRETS_KEYS": secrets["SECRETS_KEYS"]}
    return {
        "main-api": {
            **postgres("main_api"),
            "PIPELINE_DATABASE_URL": layout.dsn("main_api_pipeline"),
            **amqp,
            **redis,
            **http("main-api"),
            **webhooks,
            "JWT_PRIVATE_KEY": secrets["JWT_PRIVATE_KEY"],
            # The sandbox's mailbox: GET /_mail shows what was sent.
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(layout.port("sandbox-smtp")),
            "SMTP_TLS": "none",
            "DARAJA_BASE_URL": layout.http("sandbox"),
            "DARAJA_CONSUMER_KEY": secrets["DARAJA_CONSUMER_KEY"],
            "DARAJA_CONSUMER_SECRET": secrets["DARAJA_CONSUMER_SECRET"],
            "DARAJA_PASS_KEY": secrets["DARAJA_PASS_KEY"],
            "DARAJA_SHORT_CODE": DARAJA_SHORT_CODE,
            "PAYMENTS_PUBLIC_URL": layout.http("main-api"),
            "PAYMENTS_CALLBACK_TOKENS": secrets["PAYMENTS_TOKEN"],
            # A minute each in production; nobody here waits so long.
            "PAYMENTS_QUERY_SECONDS": "2",
            "PAYMENTS_LIST_SECONDS": "2",
            **ucs2,
            **countries,
        },
        "sms-worker": {
            **postgres("sms_worker_pipeline"),
            **amqp,
            **redis,
            "CELCOM_BASE_URL": layout.http("sandbox"),
            "CELCOM_API_KEY": secrets["CELCOM_API_KEY"],
            "CELCOM_PARTNER_ID": CELCOM_PARTNER_ID,
            "AFRICASTALKING_BASE_URL": layout.http("sandbox"),
            "AFRICASTALKING_USERNAME": AFRICASTALKING_USERNAME,
            "AFRICASTALKING_API_KEY": secrets["AFRICASTALKING_API_KEY"],
            **ucs2,
            **countries,
            # 300 in production; a demonstration cannot wait that long, and a test not even this.
            "IN_DOUBT_HOLD_SECONDS": os.environ.get("IN_DOUBT_HOLD_SECONDS", "20"),
        },
        "dlr-webhook": {**amqp, **http("dlr-webhook"), "DLR_TOKENS": dlr_tokens},
        "dlr-processor": {**postgres("dlr_processor_pipeline"), **amqp, **redis},
        "phone-validator": {**postgres("phone_validator_pipeline"), **amqp},
        "content-worker": {**postgres("content_worker_pipeline"), **amqp, **redis},
        "webhook-delivery": {**postgres("webhook_delivery_pipeline"), **amqp, **webhooks},
    }


def _common(layout: Layout, name: str) -> dict[str, str]:
    return {
        "ENVIRONMENT": "local",
        # As in the images: an arena per thread wins nothing here, and what is large (a password's 19 MiB, a 10 MB
        # body) goes back to the system at once; glibc would raise the threshold and keep it.
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
        "OPS_HOST": "127.0.0.1",
        "OPS_PORT": str(layout.port(f"{name}-ops")),
        # As in production. Whoever wants to see one journey whole sends a sampled `traceparent`, as the
        # demo does.
        "TRACE_SAMPLE_RATIO": os.environ.get("TRACE_SAMPLE_RATIO", "0.05"),
        "TRACE_FILE": str(layout.log / "traces.jsonl"),
    }


def inherited() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "TZ": "UTC"}


def _service(layout: Layout, secrets: Mapping[str, str], name: str) -> Program:
    public = (layout.port(name),) if name in {"main-api", "dlr-webhook"} else ()
    return Program(
        name=name,
        command=(sys.executable, "-m", f"sema_{name.replace('-', '_')}"),
        env=_through_proxies(layout, environment(layout, secrets, name)),
        cwd=ROOT,
        ready=lambda: probes.http(f"{layout.http(f'{name}-ops')}/readyz"),
        needs=("bootstrap", "redis", "rabbitmq", "sandbox", *((PROXIES,) if proxied() else ())),
        ports=(layout.port(f"{name}-ops"), *public),
    )


def _sandbox(layout: Layout, secrets: Mapping[str, str]) -> Program:
    port = layout.port("sandbox")
    options = {
        "--port": str(port),
        "--dlr-url": f"{layout.http('dlr-webhook')}/{{aggregator}}/{secrets['DLR_TOKEN']}",
        "--celcom-partner-id": CELCOM_PARTNER_ID,
        "--celcom-api-key": secrets["CELCOM_API_KEY"],
        "--africastalking-username": AFRICASTALKING_USERNAME,
        "--africastalking-api-key": secrets["AFRICASTALKING_API_KEY"],
        "--daraja-key": secrets["DARAJA_CONSUMER_KEY"],
        "--daraja-secret": secrets["DARAJA_CONSUMER_SECRET"],
        "--daraja-short-code": DARAJA_SHORT_CODE,
        "--daraja-pass-key": secrets["DARAJA_PASS_KEY"],
        "--payments-url": f"{layout.http('main-api')}/v1/callbacks/payments/{secrets['PAYMENTS_TOKEN']}",
        "--smtp-port": str(layout.port("sandbox-smtp")),
    }
    return Program(
        name="sandbox",
        command=(
            sys.executable,
            "-m",
            "deploy.sandbox",
            *(part for pair in options.items() for part in pair),
        ),
        env=inherited(),
        cwd=ROOT,
        ready=lambda: probes.http(f"{layout.http('sandbox')}/healthz"),
        ports=(port, layout.port("sandbox-smtp")),
        grace=5.0,
    )


def _through_proxies(layout: Layout, env: dict[str, str]) -> dict[str, str]:
    """The environment with each store's address replaced by its proxy's."""
    if not proxied():
        return env
    moved = {f"127.0.0.1:{layout.port(n)}/": f"127.0.0.1:{layout.port(f'{n}-proxy')}/" for n in PROXIED}
    for name in ("DATABASE_URL", "PIPELINE_DATABASE_URL", "AMQP_URL", "REDIS_URL"):
        for address, proxy in moved.items():
            if address in env.get(name, ""):
                env[name] = env[name].replace(address, proxy)
    return env


def _proxies(layout: Layout) -> Program:
    pairs = [f"{name}={layout.port(f'{name}-proxy')}:{layout.port(name)}" for name in PROXIED]
    return Program(
        name=PROXIES,
        command=(
            sys.executable,
            "-m",
            "deploy.local.proxies",
            "--control",
            str(layout.port(PROXIES)),
            *pairs,
        ),
        env=inherited(),
        cwd=ROOT,
        ready=lambda: probes.http(f"{layout.http(PROXIES)}/healthz"),
        ports=(layout.port(PROXIES), *(layout.port(f"{name}-proxy") for name in PROXIED)),
        grace=5.0,
    )
