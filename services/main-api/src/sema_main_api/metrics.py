"""Every metric of this service's own; the platform adds those of pools, bus and runtime."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Histogram(
    "sema_http_request_seconds",
    "Requests by operation and status, from the first byte of the head to the last byte of the answer",
    ["operation", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("sema_http_requests_in_flight", "Requests that are being answered")
REFUSALS = Counter("sema_http_refusals_total", "Requests that we refused, by stable code", ["code"])
AUTH_LOOKUPS = Counter("sema_auth_lookups_total", "Tokens that the process did not know", ["kind", "outcome"])
KEYS_IN_URLS = Counter("sema_auth_keys_in_urls_total", "API keys that arrived in a URL: treat them as stolen")
LOGINS = Counter("sema_auth_logins_total", "Attempts to log in", ["outcome"])
REFRESH_REUSED = Counter(
    "sema_auth_refresh_reused_total", "Refresh tokens used twice: a stolen one; their sessions were ended"
)
RATE_LIMITED = Counter("sema_rate_limit_refusals_total", "Calls refused by the rate limiter", ["lane"])
RATE_LIMIT_LOCAL = Counter(
    "sema_rate_limit_local_total", "Calls judged in this process because Redis was away"
)
RATE_LIMIT_BATCH = Histogram(
    "sema_rate_limit_batch_size",
    "Calls judged by one Lua script",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
