-- POST /v1/messages/batch of 500: every number and text its own. Arguments: a word of this run, the API key.
require("summary")

local SIZE = 500
local run, headers = "", {}
local n = 0

function init(args)
  run = args[1]
  headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. args[2] }
end

function request()
  local items = {}
  for i = 1, SIZE do
    n = n + 1
    items[i] = string.format(
      '{"to":"+25472%07d","from":"SEMALINK","body":"Order %s-%d is ready at the counter until six."}',
      1000000 + n, run, n)
  end
  headers["Idempotency-Key"] = run .. "-" .. n
  return wrk.format("POST", nil, headers, '{"messages":[' .. table.concat(items, ",") .. "]}")
end
