-- A delivery report as Celcom pushes it, each of another message. Argument: a template with %d for the id.
require("summary")

local template = ""
local headers = { ["Content-Type"] = "application/json" }
local n = 0

function init(args)
  template = args[1]
end

function request()
  n = n + 1
  return wrk.format("POST", nil, headers, string.format(template, 1700000000000000 + n))
end
