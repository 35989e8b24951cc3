"""`python -m deploy.sandbox --port N --dlr-url 'http://127.0.0.1:21021/{aggregator}/<token>'`"""

import argparse

import uvicorn

from deploy.sandbox.app import AFRICASTALKING, CELCOM, DARAJA, Sandbox
from deploy.sandbox.daraja_wire import Account
from sema_aggregators import Credentials

KEEP_ALIVE_SECONDS = 120
"""Longer than any client of ours keeps an idle connection: a close by us could meet a request on its way."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="deploy.sandbox", description="Aggregators, simulated over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--dlr-url", help="where delivery reports are pushed, token, `{aggregator}` and all; none: nowhere"
    )
    parser.add_argument("--celcom-partner-id", default=CELCOM.user)
    parser.add_argument("--celcom-api-key", default=CELCOM.secret)
    parser.add_argument("--africastalking-username", default=AFRICASTALKING.user)
    parser.add_argument("--africastalking-api-key", default=AFRICASTALKING.secret)
    parser.add_argument("--daraja-key", default=DARAJA.key)
    parser.add_argument("--daraja-secret", default=DARAJA.secret)
    parser.add_argument("--daraja-short-code", default=DARAJA.short_code)
    parser.add_argument("--daraja-pass-key", default=DARAJA.pass_key)
    parser.add_argument("--payments-url", help="where pay-bill payments are told; none: nowhere")
    parser.add_argument("--smtp-port", type=int, help="where the mailbox takes mail; none: nowhere")
    given = parser.parse_args()
    uvicorn.run(
        Sandbox(
            given.dlr_url,
            Credentials(given.celcom_partner_id, given.celcom_api_key),
            Credentials(given.africastalking_username, given.africastalking_api_key),
            given.smtp_port,
            Account(given.daraja_key, given.daraja_secret, given.daraja_short_code, given.daraja_pass_key),
            given.payments_url,
        ),
        host=given.host,
        port=given.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
