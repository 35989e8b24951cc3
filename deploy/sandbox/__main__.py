"""`python -m deploy.sandbox --port N --dlr-url 'http://127.0.0.1:21021/{aggregator}/<token>'`"""

import argparse

import uvicorn

from deploy.sandbox.app import AFRICASTALKING, CELCOM, Sandbox
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
    parser.add_argument("--smtp-port", type=int, help="where the mailbox takes mail; none: nowhere")
    given = parser.parse_args()
    uvicorn.run(
        Sandbox(
            given.dlr_url,
            Credentials(given.celcom_partner_id, given.celcom_api_key),
            Credentials(given.africastalking_username, given.africastalking_api_key),
            given.smtp_port,
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
