-- POST /v1/messages: every number and text its own, every second request with an Idempotency-Key of its own.
-- Arguments: a word that no other run uses, then the API keys, taken in turn.
require("summary")

local run, keys, with_key, without_key = "", {}, {}, {}
local n = 0

function init(args)
  run = args[1]
  for i = 2, #args do
    local common = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. args[i] }
    without_key[i - 1] = common
    with_key[i - 1] = { ["Content-Type"] = common["Content-Type"], ["Authorization"] = common["Authorization"] }
  end
end

function request()
  n = n + 1
  local body = string.format(
    '{"to":"+25472%07d","from":"SEMALINK","body":"Order %s-%d is ready at the counter until six."}',
    1000000 + n, run, n)
  local which = n % #without_key + 1
  if math.floor(n / #without_key) % 2 == 0 then
    return wrk.format("POST", nil, without_key[which], body)
  end
  local headers = with_key[which]
  headers["Idempotency-Key"] = run .. "-" .. n
  return wrk.format("POST", nil, headers, body)
end
