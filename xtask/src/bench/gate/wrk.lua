-- Sends the requests of a file one after the other and prints the figures as JSON.
-- Usage: wrk -t1 … -s wrk.lua URL -- FILE [TEXT]
-- The file holds whole HTTP requests without body, signed ahead so that the measurement pays for none of it. With TEXT an answer
-- without it counts as failed (a convention whose refusals are 200, too).

local requests, position = {}, 0
wrong = 0
local thread

function setup(t)
  thread = t
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  local start = 1
  while true do
    local _, stop = text:find("\r\n\r\n", start, true)
    if not stop then break end
    requests[#requests + 1] = text:sub(start, stop)
    start = stop + 1
  end
  assert(#requests > 0, "no requests in " .. args[1])
  local mark = args[2]
  if mark then
    function response(status, headers, body)
      if not body:find(mark, 1, true) then wrong = wrong + 1 end
    end
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"micros":%d,"bytes":%d,"failed":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}\n',
    summary.requests, summary.duration, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout + thread:get("wrong"),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
