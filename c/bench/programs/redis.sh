#!/usr/bin/env bash
# A redis-server is filled, saves in the background, which is a fork, while it is written to, and is started again from
# what it saved. Prints what must not depend on the allocator.
#   redis.sh SCALE DIRECTORY
set -euo pipefail
scale=$1
dir=$2
server=""
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true' EXIT

# In Debian's redis-tools the server goes by the name of a tool: it looks at its own.
start() {
  local program
  program=$(command -v redis-server || command -v redis-check-rdb)
  (exec -a redis-server "$program" --port 0 --unixsocket "$dir/socket" --dir "$dir" --save "" --daemonize no \
    --logfile "$dir/redis.log" </dev/null) &
  server=$!
  for _ in {1..600}; do
    [[ $(cli ping 2>/dev/null) != PONG ]] || return 0
    kill -0 "$server" || break
    sleep 0.1
  done
  tail -n 20 "$dir/redis.log" >&2
  return 1
}

cli() { redis-cli -s "$dir/socket" "$@"; }

stop() {
  cli shutdown nosave >/dev/null 2>&1 || true
  wait "$server" || true
  server=""
}

# What is in it, summed up by the server itself.
sum() {
  cli eval '
    local total, bytes = 0, 0
    for i = 1, tonumber(ARGV[1]) do
      local value = redis.call("get", "key:" .. i)
      bytes = bytes + #value
      total = (total * 31 + string.byte(value, 1 + i % #value)) % 1000000007
    end
    return total .. " " .. bytes' 0 $((2000 * scale))
  for i in 1 2 3; do
    cli strlen "large:$i"
    cli getrange "large:$i" 1000000 1000010
  done
  cli llen list
}

rm -f "$dir/dump.rdb"
start
cli eval 'for i = 1, tonumber(ARGV[1]) do
    redis.call("set", "key:" .. i, string.rep(string.char(65 + i % 26), 100 + i % 5000))
    redis.call("rpush", "list", i)
  end' 0 $((2000 * scale)) >/dev/null
# Strings that grow, each well beyond a MiB.
cli eval 'for i = 1, 30 * tonumber(ARGV[1]) do
    for k = 1, 3 do redis.call("append", "large:" .. k, string.rep(string.char(96 + k), 100000)) end
  end' 0 "$scale" >/dev/null
sum
cli bgsave >/dev/null
# Pages of the parent are copied while the child reads its own.
cli eval 'for i = 1, tonumber(ARGV[1]) do redis.call("setrange", "key:" .. i, 0, "#") end
  redis.call("setrange", "large:1", 1000000, "##########")' 0 $((2000 * scale)) >/dev/null
for _ in {1..600}; do
  [[ $(cli info persistence) == *rdb_bgsave_in_progress:0* ]] || {
    sleep 0.1
    continue
  }
  break
done
cli info persistence | grep -o 'rdb_last_bgsave_status:[a-z]*'
sum
stop
echo "again, from what was saved:"
start
sum
stop
